// SPDX-License-Identifier: Apache-2.0

// Expressions, from the operators that bind least to those that bind most. The order is Jinja's, which is not Python's:
// "~" binds more than "+", and a filter binds more than a sign.

extension Parser {
    /// - Parameter allowsConditional: whether `a if b else c` is read; it is not where an `if` has another meaning.
    mutating func expression(allowsConditional: Bool = true) throws(TemplateError) -> Expression {
        try descend()
        defer { depth -= 1 }
        guard allowsConditional else { return try operation(atLeast: .disjunction) }
        let line = line
        let missingBefore = missing.count
        var value = try operation(atLeast: .disjunction)
        var conditions = 0
        while skip(name: "if") {
            conditions += 1
            guard conditions < 10 else { throw fail("too many conditions without an else", .limit) }
            let condition = try operation(atLeast: .disjunction)
            let otherwise = skip(name: "else") ? try expression() : nil
            value = Expression(line: line, kind: .conditional(value, if: condition, else: otherwise))
            missing.removeSubrange(missingBefore...)
        }
        return value
    }

    /// One expression, or a tuple of several without parentheses.
    mutating func tuple(
        allowsConditional: Bool = true, isParenthesized: Bool = false, endsAt word: String? = nil
    ) throws(TemplateError) -> Expression {
        let line = line
        let (values, isTuple) = try list(endsAt: word) { (parser: inout Parser) throws(TemplateError) in
            try parser.expression(allowsConditional: allowsConditional)
        }
        if !isTuple {
            if let value = values.first { return value }
            guard isParenthesized else { throw fail("expected an expression instead of \(current.name)") }
        }
        return Expression(line: line, kind: .tuple(values))
    }

    /// Elements between commas, up to the end of a tag, a parenthesis or a word.
    mutating func list<Element>(
        endsAt word: String?, _ element: (inout Parser) throws(TemplateError) -> Element
    ) throws(TemplateError) -> ([Element], isTuple: Bool) {
        var elements: [Element] = []
        var isTuple = false
        while true {
            if !elements.isEmpty { try expect(.comma) }
            if current.kind == .outputEnd || current.kind == .tagEnd || current.isSymbol(.closeParenthesis) { break }
            if let word, current.isName(word) { break }
            elements.append(try element(&self))
            guard current.isSymbol(.comma) else { break }
            isTuple = true
        }
        return (elements, isTuple)
    }

    /// Operands joined by the operators that bind at least as much as `binding`: precedence climbing, which recurses only for
    /// operators that bind more than those before them. Chains are flat, because they are computed from left to right.
    private mutating func operation(atLeast binding: Binding) throws(TemplateError) -> Expression {
        try descend()
        defer { depth -= 1 }
        let line = line
        var left = try binding <= .comparison && current.isName("not") ? negation() : unary()
        while let next = currentBinding, next >= binding {
            let kind: Expression.Kind
            switch next {
            case .disjunction: kind = .or([left] + (try operands(after: "or", .conjunction)))
            case .conjunction: kind = .and([left] + (try operands(after: "and", .comparison)))
            case .comparison: kind = .compare(first: left, try comparisons())
            case .concatenation: kind = .concat([left] + (try operands(after: "~", .product)))
            case .sum, .product, .power: kind = .arithmetic(first: left, try computations(next))
            }
            left = Expression(line: line, kind: kind)
        }
        return left
    }

    /// How much operators bind, from the least to the most.
    private enum Binding: Int, Comparable {
        case disjunction, conjunction, comparison, sum, concatenation, product, power

        static func < (a: Binding, b: Binding) -> Bool { a.rawValue < b.rawValue }
    }

    /// How much the current token binds; nil if it is no operator.
    private var currentBinding: Binding? {
        switch current.kind {
        case .name("or"): .disjunction
        case .name("and"): .conjunction
        case .name("in"): .comparison
        case .name("not"): following.isName("in") ? .comparison : nil
        case .symbol(.equal), .symbol(.notEqual), .symbol(.less), .symbol(.atMost), .symbol(.greater),
            .symbol(.atLeast):
            .comparison
        case .symbol(.add), .symbol(.subtract): .sum
        case .symbol(.concat): .concatenation
        case .symbol(.multiply), .symbol(.divide), .symbol(.floorDivide), .symbol(.remainder): .product
        case .symbol(.power): .power
        default: nil
        }
    }

    /// The operands behind operators of one kind.
    private mutating func operands(after word: String, _ binding: Binding) throws(TemplateError) -> [Expression] {
        var operands: [Expression] = []
        while word == "~" ? skip(.concat) : skip(name: word) { operands.append(try operation(atLeast: binding)) }
        return operands
    }

    private mutating func comparisons() throws(TemplateError) -> [(comparison: Comparison, operand: Expression)] {
        var comparisons: [(comparison: Comparison, operand: Expression)] = []
        while let comparison = skipComparison() { comparisons.append((comparison, try operation(atLeast: .sum))) }
        return comparisons
    }

    private mutating func computations(
        _ binding: Binding
    ) throws(TemplateError) -> [(operation: Arithmetic, operand: Expression)] {
        // From left to right, also for powers, unlike Python.
        let operandBinding: Binding? = binding == .sum ? .concatenation : binding == .product ? .power : nil
        var computations: [(operation: Arithmetic, operand: Expression)] = []
        while currentBinding == binding, case .symbol(let symbol) = current.kind, let operation = Arithmetic(symbol) {
            advance()
            if let operandBinding {
                computations.append((operation, try self.operation(atLeast: operandBinding)))
            } else {
                computations.append((operation, try unary()))
            }
        }
        return computations
    }

    private mutating func negation() throws(TemplateError) -> Expression {
        let line = line
        var count = 0
        while skip(name: "not") { count += 1 }
        let negated = Expression(line: line, kind: .not(try operation(atLeast: .comparison)))
        return count % 2 == 1 ? negated : Expression(line: line, kind: .not(negated))
    }

    private mutating func skipComparison() -> Comparison? {
        let comparison: Comparison
        switch current.kind {
        case .symbol(.equal): comparison = .equal
        case .symbol(.notEqual): comparison = .notEqual
        case .symbol(.less): comparison = .less
        case .symbol(.atMost): comparison = .atMost
        case .symbol(.greater): comparison = .greater
        case .symbol(.atLeast): comparison = .atLeast
        case .name("in"): comparison = .isIn
        case .name("not") where following.isName("in"):
            advance()
            comparison = .isNotIn
        default: return nil
        }
        advance()
        return comparison
    }

    private mutating func unary(allowsFilters: Bool = true) throws(TemplateError) -> Expression {
        let line = line
        var value: Expression
        if current.isSymbol(.subtract) || current.isSymbol(.add) {
            try descend()
            defer { depth -= 1 }
            let isNegative = current.isSymbol(.subtract)
            advance()
            let operand = try unary(allowsFilters: false)
            value = Expression(line: line, kind: isNegative ? .negative(operand) : .positive(operand))
        } else {
            value = try primary()
        }
        value = try postfixed(value)
        return allowsFilters ? try filtered(value) : value
    }

    mutating func primary() throws(TemplateError) -> Expression {
        let line = line
        let kind: Expression.Kind
        switch current.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": kind = .bool(true)
            case "false", "False": kind = .bool(false)
            case "none", "None": kind = .none
            default:
                note(use: name)
                kind = .name(name)
            }
        case .string(var scalars):
            advance()
            while case .string(let more) = current.kind {
                scalars += more
                advance()
            }
            kind = .string(Text(scalars))
        case .integer(let value):
            advance()
            kind = .integer(value)
        case .double(let value):
            advance()
            kind = .double(value)
        case .symbol(.openParenthesis):
            advance()
            let value = try tuple(isParenthesized: true)
            try expect(.closeParenthesis)
            return value
        case .symbol(.openBracket): kind = try listDisplay()
        case .symbol(.openBrace): kind = try dictionaryDisplay()
        default: throw fail("expected an expression instead of \(current.name)")
        }
        return Expression(line: line, kind: kind)
    }

    private mutating func listDisplay() throws(TemplateError) -> Expression.Kind {
        advance()
        var values: [Expression] = []
        while !current.isSymbol(.closeBracket) {
            if !values.isEmpty { try expect(.comma) }
            if current.isSymbol(.closeBracket) { break }
            values.append(try expression())
        }
        advance()
        return .list(values)
    }

    private mutating func dictionaryDisplay() throws(TemplateError) -> Expression.Kind {
        advance()
        var members: [(key: Expression, value: Expression)] = []
        while !current.isSymbol(.closeBrace) {
            if !members.isEmpty { try expect(.comma) }
            if current.isSymbol(.closeBrace) { break }
            let key = try expression()
            try expect(.colon)
            members.append((key, try expression()))
        }
        advance()
        return .dictionary(members)
    }
}

extension Arithmetic {
    fileprivate init?(_ symbol: Symbol) {
        switch symbol {
        case .add: self = .add
        case .subtract: self = .subtract
        case .multiply: self = .multiply
        case .divide: self = .divide
        case .floorDivide: self = .floorDivide
        case .remainder: self = .remainder
        case .power: self = .power
        default: return nil
        }
    }
}
