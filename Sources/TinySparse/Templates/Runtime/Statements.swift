// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    /// Runs the statements of the present scope, which has its parameters.
    /// - Returns: How they leave the loop around them, if they do.
    func run(_ body: Body) throws(TemplateError) -> LoopExit? {
        for name in hidden[body.scope] {
            try charge(4)
            scope.set(name, .undefined("'\(name)' is undefined"))
        }
        return try run(body.statements)
    }

    /// Runs statements.
    /// - Returns: How they leave the loop around them, if they do.
    func run(_ statements: [Statement]) throws(TemplateError) -> LoopExit? {
        try descend()
        defer { ascend() }
        for statement in statements {
            line = statement.line
            if let exit = try run(statement) { return exit }
        }
        return nil
    }

    private func run(_ statement: Statement) throws(TemplateError) -> LoopExit? {
        try charge(4)
        switch statement.kind {
        case .exit(let exit): return exit
        case .conditional(let branches, let otherwise): return try run(branches, otherwise)
        case .loop(let loop): return try run(loop)
        case .with(let values, let body): return try run(values, body)
        default:
            if try !write(statement.kind) { try define(statement.kind) }
            return nil
        }
    }

    private func run(
        _ branches: [(condition: Expression, body: [Statement])], _ otherwise: [Statement]
    ) throws(TemplateError) -> LoopExit? {
        for branch in branches where try isTrue(evaluate(branch.condition)) { return try run(branch.body) }
        return try run(otherwise)
    }

    /// Runs statements that write; false if it is another one.
    private func write(_ kind: Statement.Kind) throws(TemplateError) -> Bool {
        switch kind {
        case .data(let text): try write(text.scalars)
        case .output(let expression): try write(evaluate(expression))
        case .filter(let filters, let body):
            let value = try filtered(runCaptured(body), filters)
            guard case .string = value else {
                throw fail(.type, "the filters of a block yield no text, but \(value.typeName)")
            }
            try write(value)
        case .generation(let body): try write(runCaptured(body))
        case .call(let body, let call): try write(value(of: call, caller: define(body)))
        default: return false
        }
        return true
    }

    private func write(_ value: Value) throws(TemplateError) { try write(text(value).scalars) }

    /// Runs statements that define something.
    private func define(_ kind: Statement.Kind) throws(TemplateError) {
        switch kind {
        case .set(let target, let expression): try assign(evaluate(expression), to: target)
        case .setBlock(let target, let filters, let body): try assign(filtered(runCaptured(body), filters), to: target)
        case .macro(let macro): scope.set(macro.name ?? "", try define(macro))
        default: break
        }
    }

    /// What statements write, with variables of their own.
    private func runCaptured(_ body: Body) throws(TemplateError) -> Value {
        .string(
            try capture { () throws(TemplateError) in
                _ = try scoped { () throws(TemplateError) in try run(body) }
            })
    }

    private func filtered(_ value: Value, _ filters: [FilterCall]) throws(TemplateError) -> Value {
        var value = value
        for filter in filters { value = try apply(filter, to: value) }
        return value
    }

    private func run(
        _ values: [(target: Target, value: Expression)], _ body: Body
    ) throws(TemplateError) -> LoopExit? {
        var evaluated: [Value] = []
        for value in values { evaluated.append(try evaluate(value.value)) }
        return try scoped { () throws(TemplateError) in
            for (index, value) in evaluated.enumerated() { try assign(value, to: values[index].target) }
            return try run(body)
        }
    }

    /// What a call yields, with the body of a call block as its argument `caller`.
    private func value(of call: Expression, caller: Value) throws(TemplateError) -> Value {
        guard case .postfix(let first, let steps) = call.kind, case .call(let written)? = steps.last?.kind else {
            return .none
        }
        let function = try evaluate(first, steps.dropLast())
        var arguments = try evaluate(written)
        guard !arguments.named.contains(where: { $0.name == "caller" }) else {
            throw fail(.type, "a call block passes 'caller' itself")
        }
        arguments.named.append(("caller", caller))
        return try self.call(function, arguments)
    }

    // MARK: Loops

    private func run(_ statement: LoopStatement) throws(TemplateError) -> LoopExit? {
        let sequence = try evaluate(statement.sequence)
        let (items, count) = try source(of: sequence)
        let loop = Loop(items, count: statement.condition == nil ? count : nil)
        if let condition = statement.condition {
            let outer = scope
            loop.select = { (item) throws(TemplateError) in
                try self.scoped(in: outer) { () throws(TemplateError) in
                    try self.assign(item, to: statement.target)
                    return try self.isTrue(self.evaluate(condition)) ? self.value(of: statement.target) : nil
                }
            }
        }
        defer { loop.select = nil }
        var isComplete = false
        while let item = try loop.advance() {
            let exit = try scoped { () throws(TemplateError) in
                scope.set("loop", .loop(loop))
                try assign(item, to: statement.target)
                return try run(statement.body)
            }
            if exit == .leave { break }
            if exit == nil { isComplete = true }
        }
        // As in Jinja: not only without an item, but also if none was gone through to the end.
        guard !isComplete else { return nil }
        return try scoped { () throws(TemplateError) in try run(statement.otherwise) }
    }

    /// The items to loop over, and how many they are if that is known without reading them.
    private func source(of sequence: Value) throws(TemplateError) -> (ItemIterator, Int?) {
        switch sequence {
        case .iterator(let iterator): return (iterator, nil)
        case .list(let items), .tuple(let items): return (ItemIterator(items), items.count)
        default:
            let values = try elements(of: sequence)
            try charge(values.count)
            return (ItemIterator(Items(values)), values.count)
        }
    }

    /// What was assigned to a target: with a condition, Jinja makes the items of a loop anew from its variables.
    private func value(of target: Target) throws(TemplateError) -> Value {
        switch target {
        case .name(let name): return scope[name] ?? .none
        case .tuple(let targets):
            var values: [Value] = []
            for target in targets { values.append(try value(of: target)) }
            return .tuple(try items(values))
        case .attribute: return .none
        }
    }

    // MARK: Assignment

    func assign(_ value: Value, to target: Target) throws(TemplateError) {
        switch target {
        case .name(let name): scope.set(name, value)
        case .tuple(let targets):
            let values = try elements(of: value)
            guard values.count == targets.count else {
                throw fail(.value, "\(values.count) values cannot be assigned to \(targets.count) names")
            }
            for (index, target) in targets.enumerated() { try assign(values[index], to: target) }
        case .attribute(let name, let attribute):
            guard case .namespace(let index)? = scope[name] else {
                throw fail(.type, "'\(name)' is no namespace, so '\(name).\(attribute)' cannot be assigned to")
            }
            try checkAttribute(attribute)
            try set(.string(attribute), value, in: &namespaces[index])
        }
    }

    /// - Throws: `TemplateError` for the names that transformers forbids.
    func checkAttribute(_ name: String) throws(TemplateError) {
        guard !name.hasPrefix("_") else {
            throw fail(.unsupported, "the attribute '\(name)' of a namespace begins with an underscore")
        }
    }
}
