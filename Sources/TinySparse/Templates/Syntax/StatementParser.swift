// SPDX-License-Identifier: Apache-2.0

extension Parser {
    /// The statements up to a tag that begins with one of `words`, which is the current token then; without words, up to the
    /// end of the template.
    mutating func statements(until words: [String]) throws(TemplateError) -> [Statement] {
        // Statements take more of the machine's stack than expressions.
        try descend(3)
        defer { depth -= 3 }
        let opening = line
        var statements: [Statement] = []
        while true {
            let line = line
            switch current.kind {
            case .data(let scalars):
                statements.append(Statement(line: line, kind: .data(Text(scalars))))
                advance()
            case .outputBegin:
                advance()
                statements.append(Statement(line: line, kind: .output(try tuple())))
                try expect(.outputEnd)
            case .tagBegin:
                advance()
                if case .name(let word) = current.kind, words.contains(word) { return statements }
                statements.append(Statement(line: line, kind: try statement()))
                try expect(.tagEnd)
            default:
                guard words.isEmpty else {
                    throw TemplateError(.syntax, line: opening, "there is no {% \(words.last ?? "") %} for this tag")
                }
                return statements
            }
        }
    }

    /// The body of a statement after its tag. The word that ends it is the current token then.
    mutating func body(until words: String...) throws(TemplateError) -> [Statement] {
        _ = skip(.colon)
        try expect(.tagEnd)
        return try statements(until: words)
    }

    /// A body with variables of its own, whose filters always run, and in which an enclosing loop cannot be left unless
    /// `inLoop` says so.
    private mutating func block(
        until word: String, _ parameters: Target? = nil, inLoop: Bool = false
    ) throws(TemplateError) -> Body {
        let (wasConditional, loops, outer) = (isConditional, openLoops, scope)
        (isConditional, openLoops) = (false, inLoop ? openLoops + 1 : 0)
        openScope(parameters)
        let body = Body(statements: try body(until: word), scope: scope)
        (isConditional, openLoops, scope) = (wasConditional, loops, outer)
        return body
    }

    private mutating func statement() throws(TemplateError) -> Statement.Kind {
        let word = try name()
        switch word {
        case "if": return try conditional()
        case "for": return try loop()
        case "set": return try assignment()
        case "macro":
            let name = try variable()
            note(assigned: .name(name))
            let outer = scope
            openScope()
            let macro = try macro(named: name, try parameters(), endsAt: "endmacro")
            scope = outer
            return .macro(macro)
        case "call": return try call()
        case "filter":
            var filters: [FilterCall] = []
            repeat { filters.append(try filter()) } while skip(.pipe)
            let body = try block(until: "endfilter")
            advance()
            return .filter(filters, body)
        case "with": return try with()
        case "print":
            let (values, _) = try list(endsAt: nil) { (parser: inout Parser) throws(TemplateError) in
                try parser.expression()
            }
            return .output(Expression(line: line, kind: .concat(values)))
        case "generation":
            let body = try block(until: "endgeneration")
            advance()
            return .generation(body)
        case "break", "continue":
            guard openLoops > 0 else { throw fail("{% \(word) %} is not directly in a loop") }
            return .exit(word == "break" ? .leave : .next)
        case "block", "extends", "include", "import", "from", "autoescape": throw unsupported("the tag {% \(word) %}")
        default: throw fail("unexpected tag {% \(word) %}")
        }
    }

    private mutating func conditional() throws(TemplateError) -> Statement.Kind {
        let wasConditional = isConditional
        isConditional = true
        defer { isConditional = wasConditional }
        var branches: [(condition: Expression, body: [Statement])] = []
        scopes[scope].branches += 1
        repeat {
            let condition = try tuple(allowsConditional: false)
            branches.append((condition, try body(until: "elif", "else", "endif")))
        } while skip(name: "elif")
        var otherwise: [Statement] = []
        if skip(name: "else") { otherwise = try body(until: "endif") }
        scopes[scope].branches -= 1
        advance()
        return .conditional(branches, otherwise: otherwise)
    }

    private mutating func loop() throws(TemplateError) -> Statement.Kind {
        loopStatements += 1
        defer { loopStatements -= 1 }
        let target = try target(endsAt: "in")
        guard skip(name: "in") else { throw fail("expected 'in' instead of \(current.name)") }
        let sequence = try tuple(allowsConditional: false, endsAt: "recursive")
        let (wasConditional, loops, outer) = (isConditional, openLoops, scope)
        isConditional = false
        defer { (isConditional, openLoops, scope) = (wasConditional, loops, outer) }
        openScope(target)
        let condition = skip(name: "if") ? try expression() : nil
        scope = outer
        guard !current.isName("recursive") else { throw unsupported("a recursive loop") }
        openLoops += 1
        openScope(target)
        let body = Body(statements: try body(until: "endfor", "else"), scope: scope)
        (openLoops, scope) = (loops, outer)
        openScope()
        let otherwise = Body(statements: skip(name: "else") ? try self.body(until: "endfor") : [], scope: scope)
        advance()
        return .loop(
            LoopStatement(
                target: target, sequence: sequence, condition: condition, body: body, otherwise: otherwise))
    }

    private mutating func assignment() throws(TemplateError) -> Statement.Kind {
        let target = try target(allowsAttributes: true)
        if skip(.assign) {
            let value = try tuple()
            note(assigned: target)
            return .set(target, value)
        }
        note(assigned: target)
        let (wasConditional, loops) = (isConditional, openLoops)
        isConditional = false
        defer { (isConditional, openLoops) = (wasConditional, loops) }
        var filters: [FilterCall] = []
        while skip(.pipe) { filters.append(try filter()) }
        let body = try block(until: "endset")
        advance()
        return .setBlock(target, filters, body)
    }

    private mutating func with() throws(TemplateError) -> Statement.Kind {
        var values: [(target: Target, value: Expression)] = []
        while current.kind != .tagEnd {
            if !values.isEmpty { try expect(.comma) }
            let target = try target()
            try expect(.assign)
            values.append((target, try expression()))
        }
        let body = try block(until: "endwith", .tuple(values.map { $0.target }), inLoop: openLoops > 0)
        advance()
        return .with(values, body)
    }

    private mutating func call() throws(TemplateError) -> Statement.Kind {
        let outer = scope
        openScope()
        let inner = scope
        defer { scope = outer }
        let parameters = current.isSymbol(.openParenthesis) ? try parameters() : ([], [])
        scope = outer
        let call = try expression()
        scope = inner
        guard case .postfix(_, let steps) = call.kind, case .call? = steps.last?.kind else {
            throw fail("{% call %} needs a call")
        }
        return .call(try macro(named: nil, parameters, endsAt: "endcall"), call)
    }
}
