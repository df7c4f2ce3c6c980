// SPDX-License-Identifier: Apache-2.0

extension Parser {
    /// A value and the members, elements and calls behind it.
    mutating func postfixed(_ first: Expression) throws(TemplateError) -> Expression {
        var steps: [Postfix] = []
        while true {
            let line = line
            if skip(.dot) {
                steps.append(Postfix(line: line, kind: try member()))
            } else if skip(.openBracket) {
                steps.append(Postfix(line: line, kind: try subscripted()))
            } else if current.isSymbol(.openParenthesis) {
                steps.append(Postfix(line: line, kind: .call(try arguments())))
            } else {
                return appending(steps, to: first)
            }
        }
    }

    /// A value and the filters and tests behind it.
    mutating func filtered(_ first: Expression) throws(TemplateError) -> Expression {
        var steps: [Postfix] = []
        while true {
            let line = line
            if skip(.pipe) {
                steps.append(Postfix(line: line, kind: .filter(try filter())))
            } else if skip(name: "is") {
                steps.append(Postfix(line: line, kind: try test()))
            } else if current.isSymbol(.openParenthesis) {
                steps.append(Postfix(line: line, kind: .call(try arguments())))
            } else {
                return appending(steps, to: first)
            }
        }
    }

    private func appending(_ steps: [Postfix], to first: Expression) -> Expression {
        guard let step = steps.first else { return first }
        if case .postfix(let base, let before) = first.kind {
            return Expression(line: first.line, kind: .postfix(first: base, before + steps))
        }
        return Expression(line: step.line, kind: .postfix(first: first, steps))
    }

    private mutating func member() throws(TemplateError) -> Postfix.Kind {
        let line = line
        defer { advance() }
        switch current.kind {
        case .name(let name): return .attribute(name)
        case .integer(let index): return .item(Expression(line: line, kind: .integer(index)))
        default: throw fail("expected a name or a number instead of \(current.name)")
        }
    }

    /// What is in brackets behind a value.
    private mutating func subscripted() throws(TemplateError) -> Postfix.Kind {
        let line = line
        var keys: [Expression] = []
        while !current.isSymbol(.closeBracket) {
            if !keys.isEmpty { try expect(.comma) }
            let start = current.isSymbol(.colon) ? nil : try expression()
            if skip(.colon) {
                guard keys.isEmpty else { throw unsupported("several slices in one pair of brackets") }
                let end = try sliceBound()
                let step = skip(.colon) ? try sliceBound() : nil
                guard current.isSymbol(.closeBracket) else {
                    throw unsupported("several slices in one pair of brackets")
                }
                advance()
                return .slice(from: start, to: end, step: step)
            }
            guard let start else { throw fail("expected an expression instead of \(current.name)") }
            keys.append(start)
        }
        advance()
        return .item(keys.count == 1 ? keys[0] : Expression(line: line, kind: .tuple(keys)))
    }

    private mutating func sliceBound() throws(TemplateError) -> Expression? {
        current.isSymbol(.colon) || current.isSymbol(.closeBracket) || current.isSymbol(.comma)
            ? nil : try expression()
    }

    /// The arguments of a call, in parentheses.
    mutating func arguments() throws(TemplateError) -> Postfix.Arguments {
        try descend()
        defer { depth -= 1 }
        var arguments = Postfix.Arguments()
        var names: Set<String> = []
        try expect(.openParenthesis)
        var isFirst = true
        while !current.isSymbol(.closeParenthesis) {
            if !isFirst {
                try expect(.comma)
                if current.isSymbol(.closeParenthesis) { break }
            }
            isFirst = false
            let isOpen = arguments.list == nil && arguments.dictionary == nil
            if skip(.multiply) {
                guard isOpen else { throw fail("a list of arguments goes before a dictionary of them") }
                arguments.list = try expression()
            } else if skip(.power) {
                guard arguments.dictionary == nil else { throw fail("two dictionaries of arguments") }
                arguments.dictionary = try expression()
            } else if case .name(let name) = current.kind, following.isSymbol(.assign) {
                guard arguments.dictionary == nil, names.insert(name).inserted else {
                    throw fail("the argument '\(name)' is in the wrong place")
                }
                advance()
                advance()
                arguments.named.append((name, try expression()))
            } else {
                guard isOpen, arguments.named.isEmpty else { throw fail("an argument without a name goes first") }
                arguments.positional.append(try expression())
            }
        }
        advance()
        return arguments
    }

    /// A filter behind "|".
    mutating func filter() throws(TemplateError) -> FilterCall {
        let line = line
        let name = try dottedName()
        let arguments = current.isSymbol(.openParenthesis) ? try arguments() : Postfix.Arguments()
        let filter = Filter(name: name)
        if filter == nil { note(missing: "filter", name, line) }
        return FilterCall(line: line, name: name, filter: filter, arguments: arguments)
    }

    /// A test behind "is".
    private mutating func test() throws(TemplateError) -> Postfix.Kind {
        let line = line
        let isNegated = skip(name: "not")
        let name = try dottedName()
        var arguments = Postfix.Arguments()
        if current.isSymbol(.openParenthesis) {
            arguments = try self.arguments()
        } else if beginsArgument {
            guard !current.isName("is") else { throw fail("two tests in a row need parentheses") }
            arguments.positional = [try postfixed(try primary())]
        }
        let test = ValueTest(name: name)
        if test == nil { note(missing: "test", name, line) }
        return .test(TestCall(name: name, test: test, arguments: arguments), isNegated: isNegated)
    }

    /// Whether a test's argument without parentheses begins here.
    private var beginsArgument: Bool {
        switch current.kind {
        case .name(let name): !["else", "or", "and"].contains(name)
        case .string, .integer, .double, .symbol(.openBracket), .symbol(.openBrace): true
        default: false
        }
    }

    private mutating func dottedName() throws(TemplateError) -> String {
        var name = try name()
        while skip(.dot) { name += "." + (try self.name()) }
        return name
    }
}
