// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    /// The value of an expression. The cases are spread over several functions, because one function's frame has room for
    /// all its cases, and these functions call each other as deep as a template nests.
    func evaluate(_ expression: Expression) throws(TemplateError) -> Value {
        try descend()
        defer { ascend() }
        line = expression.line
        if case .name(let name) = expression.kind { return scope[name] ?? .undefined("'\(name)' is undefined") }
        if case .postfix(let first, let steps) = expression.kind { return try evaluate(first, steps[...]) }
        if let value = literal(expression.kind) { return value }
        if let value = try display(expression.kind) { return value }
        return try operation(expression.kind)
    }

    private func literal(_ kind: Expression.Kind) -> Value? {
        switch kind {
        case .none: Value.none
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .double(let value): .double(value)
        case .string(let text): .string(text)
        default: nil
        }
    }

    private func display(_ kind: Expression.Kind) throws(TemplateError) -> Value? {
        switch kind {
        case .list(let elements): try list(evaluate(elements))
        case .tuple(let elements): .tuple(try items(evaluate(elements)))
        case .dictionary(let members): try dictionary(members)
        case .concat(let parts): try concatenate(parts)
        default: nil
        }
    }

    private func operation(_ kind: Expression.Kind) throws(TemplateError) -> Value {
        switch kind {
        case .and(let operands): return try firstOperand(operands, thatIs: false)
        case .or(let operands): return try firstOperand(operands, thatIs: true)
        case .compare(let first, let others): return try compare(first, others)
        case .arithmetic(let first, let others): return try compute(first, others)
        case .conditional(let value, let condition, let otherwise): return try choose(value, condition, otherwise)
        default: return try sign(kind)
        }
    }

    private func sign(_ kind: Expression.Kind) throws(TemplateError) -> Value {
        switch kind {
        case .not(let operand): .bool(!isTrue(try evaluate(operand)))
        case .negative(let operand): try negated(evaluate(operand))
        case .positive(let operand): try number(evaluate(operand), for: "+")
        default: .none
        }
    }

    private func compute(
        _ first: Expression, _ others: [(operation: Arithmetic, operand: Expression)]
    ) throws(TemplateError) -> Value {
        let line = line
        var value = try evaluate(first)
        for (operation, operand) in others {
            let operand = try evaluate(operand)
            self.line = line
            value = try compute(value, operation, operand)
        }
        return value
    }

    private func choose(
        _ value: Expression, _ condition: Expression, _ otherwise: Expression?
    ) throws(TemplateError) -> Value {
        if try isTrue(evaluate(condition)) { return try evaluate(value) }
        guard let otherwise else { return .undefined("a condition without an else is not met") }
        return try evaluate(otherwise)
    }

    private func evaluate(_ expressions: [Expression]) throws(TemplateError) -> [Value] {
        var values: [Value] = []
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    private func dictionary(_ members: [(key: Expression, value: Expression)]) throws(TemplateError) -> Value {
        var mapping = Mapping()
        for (key, value) in members { try set(evaluate(key), evaluate(value), in: &mapping) }
        return .dictionary(mapping)
    }

    /// The first operand whose truth is `truth`; without one, the last.
    private func firstOperand(_ operands: [Expression], thatIs truth: Bool) throws(TemplateError) -> Value {
        for operand in operands.dropLast() {
            let value = try evaluate(operand)
            if isTrue(value) == truth { return value }
        }
        return try evaluate(operands[operands.count - 1])
    }

    private func concatenate(_ parts: [Expression]) throws(TemplateError) -> Value {
        var scalars: [Scalar] = []
        for part in parts {
            let text = try text(evaluate(part))
            try charge(text.count)
            scalars += text.scalars
        }
        return .string(scalars)
    }

    private func compare(
        _ first: Expression, _ others: [(comparison: Comparison, operand: Expression)]
    ) throws(TemplateError) -> Value {
        var left = try evaluate(first)
        for (comparison, operand) in others {
            let right = try evaluate(operand)
            guard try compare(left, comparison, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    // MARK: What follows a value

    /// A value and what is done to it.
    func evaluate(_ first: Expression, _ steps: ArraySlice<Postfix>) throws(TemplateError) -> Value {
        var value = try evaluate(first)
        for step in steps {
            line = step.line
            try charge(4)
            if let accessed = try access(step.kind, of: value) {
                value = accessed
            } else {
                value = try process(step, value)
            }
        }
        return value
    }

    private func access(_ kind: Postfix.Kind, of value: Value) throws(TemplateError) -> Value? {
        switch kind {
        case .attribute(let name): try attribute(name, of: value)
        case .item(let key): try item(evaluate(key), of: value)
        case .slice(let from, let to, let step): try slice(value, from, to, step)
        default: nil
        }
    }

    private func process(_ step: Postfix, _ value: Value) throws(TemplateError) -> Value {
        switch step.kind {
        case .call(let arguments):
            let arguments = try evaluate(arguments)
            line = step.line
            return try call(value, arguments)
        case .filter(let filter): return try apply(filter, to: value)
        case .test(let test, let isNegated): return .bool(try apply(test, to: value) != isNegated)
        default: return value
        }
    }

    private func apply(_ call: TestCall, to value: Value) throws(TemplateError) -> Bool {
        guard let test = call.test else { throw fail(.unsupported, "there is no test '\(call.name)'") }
        return try self.test(value, test, evaluate(call.arguments))
    }

    func apply(_ call: FilterCall, to value: Value) throws(TemplateError) -> Value {
        guard let filter = call.filter else { throw fail(.unsupported, "there is no filter '\(call.name)'") }
        let arguments = try evaluate(call.arguments)
        line = call.line
        return try apply(filter, to: value, arguments)
    }

    func evaluate(_ written: Postfix.Arguments) throws(TemplateError) -> Arguments {
        try descend()
        defer { ascend() }
        var arguments = Arguments()
        arguments.positional = try evaluate(written.positional)
        for (name, value) in written.named { arguments.named.append((name, try evaluate(value))) }
        if let list = written.list { arguments.positional += try elements(of: evaluate(list)) }
        if let dictionary = written.dictionary {
            guard case .dictionary(let mapping) = try evaluate(dictionary) else {
                throw fail(.type, "the argument after ** is no dictionary")
            }
            var names = Set(arguments.named.map { $0.name })
            for (key, value) in zip(mapping.keys, mapping.values) {
                try charge(reading: key)
                guard case .string(let text) = key, case let name = text.string, names.insert(name).inserted else {
                    throw fail(.type, "a key of the argument after ** is no name, or is there twice")
                }
                arguments.named.append((name, value))
            }
        }
        try charge(elements: arguments.positional.count + arguments.named.count)
        return arguments
    }
}
