// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    func evaluate(_ expression: Expression) throws(TemplateError) -> Value {
        try descend()
        defer { ascend() }
        line = expression.line
        switch expression.kind {
        case .none: return .none
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .double(let value): return .double(value)
        case .string(let text): return .string(text)
        case .name(let name): return scope[name] ?? .undefined("'\(name)' is undefined")
        case .list(let elements): return try list(evaluate(elements))
        case .tuple(let elements): return .tuple(try items(evaluate(elements)))
        case .dictionary(let members): return try dictionary(members)
        case .and(let operands): return try firstOperand(operands, thatIs: false)
        case .or(let operands): return try firstOperand(operands, thatIs: true)
        case .not(let operand): return .bool(!isTrue(try evaluate(operand)))
        case .negative(let operand): return try negated(evaluate(operand))
        case .positive(let operand): return try number(evaluate(operand), for: "+")
        case .arithmetic(let first, let others):
            var value = try evaluate(first)
            for (operation, operand) in others {
                let operand = try evaluate(operand)
                line = expression.line
                value = try compute(value, operation, operand)
            }
            return value
        case .concat(let parts): return try concatenate(parts)
        case .compare(let first, let others): return try compare(first, others)
        case .conditional(let value, let condition, let otherwise):
            if try isTrue(evaluate(condition)) { return try evaluate(value) }
            guard let otherwise else { return .undefined("a condition without an else is not met") }
            return try evaluate(otherwise)
        case .postfix(let first, let steps): return try evaluate(first, steps[...])
        }
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
            switch step.kind {
            case .attribute(let name): value = try attribute(name, of: value)
            case .item(let key): value = try item(evaluate(key), of: value)
            case .slice(let from, let to, let step): value = try slice(value, from, to, step)
            case .call(let arguments):
                let arguments = try evaluate(arguments)
                line = step.line
                value = try call(value, arguments)
            case .filter(let filter): value = try apply(filter, to: value)
            case .test(let test, let isNegated):
                guard let known = test.test else { throw fail(.unsupported, "there is no test '\(test.name)'") }
                let arguments = try evaluate(test.arguments)
                value = .bool(try self.test(value, known, arguments) != isNegated)
            }
        }
        return value
    }

    func apply(_ call: FilterCall, to value: Value) throws(TemplateError) -> Value {
        guard let filter = call.filter else { throw fail(.unsupported, "there is no filter '\(call.name)'") }
        let arguments = try evaluate(call.arguments)
        line = call.line
        return try apply(filter, to: value, arguments)
    }

    func evaluate(_ written: Postfix.Arguments) throws(TemplateError) -> Arguments {
        var arguments = Arguments()
        arguments.positional = try evaluate(written.positional)
        for (name, value) in written.named { arguments.named.append((name, try evaluate(value))) }
        if let list = written.list { arguments.positional += try elements(of: evaluate(list)) }
        if let dictionary = written.dictionary {
            guard case .dictionary(let mapping) = try evaluate(dictionary) else {
                throw fail(.type, "the argument after ** is no dictionary")
            }
            for index in 0..<mapping.count {
                guard case .string(let name) = mapping.keys[index],
                    !arguments.named.contains(where: { $0.name == name.string })
                else { throw fail(.type, "a key of the argument after ** is no name, or is there twice") }
                arguments.named.append((name.string, mapping.values[index]))
            }
        }
        try charge(elements: arguments.positional.count + arguments.named.count)
        return arguments
    }
}
