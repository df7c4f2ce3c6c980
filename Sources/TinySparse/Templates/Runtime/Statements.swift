// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
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
        case .data(let text): try write(text.scalars)
        case .output(let expression): try write(text(evaluate(expression)).scalars)
        case .conditional(let branches, let otherwise):
            for branch in branches where try isTrue(evaluate(branch.condition)) { return try run(branch.body) }
            return try run(otherwise)
        case .loop(let loop): return try run(loop)
        case .set(let target, let expression): try assign(evaluate(expression), to: target)
        case .setBlock(let target, let filters, let body):
            let captured = try filtered(runCaptured(body), filters)
            try assign(captured, to: target)
        case .filter(let filters, let body):
            let captured = try filtered(runCaptured(body), filters)
            try write(text(captured).scalars)
        case .macro(let macro): scope.set(macro.name ?? "", try define(macro))
        case .call(let body, let call): try run(call, caller: define(body))
        case .with(let values, let body): return try run(values, body)
        case .generation(let body): try write(text(runCaptured(body)).scalars)
        case .exit(let exit): return exit
        }
        return nil
    }

    /// What statements write, with variables of their own.
    private func runCaptured(_ body: [Statement]) throws(TemplateError) -> Value {
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

    private func run(_ values: [(target: Target, value: Expression)], _ body: [Statement]) throws(TemplateError)
        -> LoopExit?
    {
        var evaluated: [Value] = []
        for value in values { evaluated.append(try evaluate(value.value)) }
        return try scoped { () throws(TemplateError) in
            for (index, value) in evaluated.enumerated() { try assign(value, to: values[index].target) }
            return try run(body)
        }
    }

    /// A call with the body of a call block as its argument `caller`.
    private func run(_ call: Expression, caller: Value) throws(TemplateError) {
        guard case .postfix(let first, let steps) = call.kind, case .call(let written)? = steps.last?.kind else {
            return
        }
        let function = try evaluate(first, steps.dropLast())
        var arguments = try evaluate(written)
        arguments.named.append(("caller", caller))
        try write(text(self.call(function, arguments)).scalars)
    }

    // MARK: Loops

    private func run(_ statement: LoopStatement) throws(TemplateError) -> LoopExit? {
        let sequence = try evaluate(statement.sequence)
        let (items, count) = try source(of: sequence)
        let loop = Loop(items, count: statement.condition == nil ? count : nil)
        if let condition = statement.condition {
            let outer = scope
            loop.accepts = { [unowned self] (item) throws(TemplateError) in
                try self.scoped(in: outer) { () throws(TemplateError) in
                    try self.assign(item, to: statement.target)
                    return try self.isTrue(self.evaluate(condition))
                }
            }
        }
        defer { loop.accepts = nil }
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
        default:
            let values = try elements(of: sequence)
            return (ItemIterator(values), values.count)
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
