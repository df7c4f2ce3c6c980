// SPDX-License-Identifier: Apache-2.0

// Expressions, from the operators that bind least to those that bind most. The order is Jinja's, which is not Python's:
// "~" binds more than "+", and a filter binds more than a sign.

extension Parser {
    /// - Parameter allowsConditional: whether `a if b else c` is read; it is not where an `if` has another meaning.
    mutating func expression(allowsConditional: Bool = true) throws(TemplateError) -> Expression {
        try descend()
        defer { depth -= 1 }
        guard allowsConditional else { return try disjunction() }
        let line = line
        let missingBefore = missing.count
        var value = try disjunction()
        var conditions = 0
        while skip(name: "if") {
            conditions += 1
            guard conditions < 10 else { throw fail("too many conditions without an else", .limit) }
            let condition = try disjunction()
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

    private mutating func disjunction() throws(TemplateError) -> Expression {
        let line = line
        var operands = [try conjunction()]
        while skip(name: "or") { operands.append(try conjunction()) }
        return operands.count == 1 ? operands[0] : Expression(line: line, kind: .or(operands))
    }

    private mutating func conjunction() throws(TemplateError) -> Expression {
        let line = line
        var operands = [try negation()]
        while skip(name: "and") { operands.append(try negation()) }
        return operands.count == 1 ? operands[0] : Expression(line: line, kind: .and(operands))
    }

    private mutating func negation() throws(TemplateError) -> Expression {
        let line = line
        var count = 0
        while skip(name: "not") { count += 1 }
        let value = try comparison()
        guard count > 0 else { return value }
        let negated = Expression(line: line, kind: .not(value))
        return count % 2 == 1 ? negated : Expression(line: line, kind: .not(negated))
    }

    private mutating func comparison() throws(TemplateError) -> Expression {
        let line = line
        let first = try sum()
        var others: [(comparison: Comparison, operand: Expression)] = []
        while let comparison = skipComparison() { others.append((comparison, try sum())) }
        return others.isEmpty ? first : Expression(line: line, kind: .compare(first: first, others))
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

    private mutating func sum() throws(TemplateError) -> Expression {
        try chain([(.add, .add), (.subtract, .subtract)]) { (parser: inout Parser) throws(TemplateError) in
            try parser.concatenation()
        }
    }

    private mutating func concatenation() throws(TemplateError) -> Expression {
        let line = line
        var parts = [try product()]
        while skip(.concat) { parts.append(try product()) }
        return parts.count == 1 ? parts[0] : Expression(line: line, kind: .concat(parts))
    }

    private mutating func product() throws(TemplateError) -> Expression {
        try chain([
            (.multiply, .multiply), (.divide, .divide), (.floorDivide, .floorDivide), (.remainder, .remainder),
        ]) { (parser: inout Parser) throws(TemplateError) in
            try parser.power()
        }
    }

    /// From left to right, unlike Python's.
    private mutating func power() throws(TemplateError) -> Expression {
        try chain([(.power, .power)]) { (parser: inout Parser) throws(TemplateError) in try parser.unary() }
    }

    private mutating func chain(
        _ operations: [(Symbol, Arithmetic)], _ operand: (inout Parser) throws(TemplateError) -> Expression
    ) throws(TemplateError) -> Expression {
        let line = line
        let first = try operand(&self)
        var others: [(operation: Arithmetic, operand: Expression)] = []
        while case .symbol(let symbol) = current.kind, let operation = operations.first(where: { $0.0 == symbol })?.1 {
            advance()
            others.append((operation, try operand(&self)))
        }
        return others.isEmpty ? first : Expression(line: line, kind: .arithmetic(first: first, others))
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
