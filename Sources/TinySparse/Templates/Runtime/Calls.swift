// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    func call(_ function: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        switch function {
        case .macro(let index): return .string(try run(macros[index], arguments))
        case .method(let receiver, let name): return try method(name, of: receiver, arguments)
        case .function(let function): return try call(function, arguments)
        case .loop: throw fail(.unsupported, "a recursive loop")
        case .undefined(let reason): throw fail(.undefined, reason)
        default: throw fail(.type, "a value of the type \(function.typeName) cannot be called")
        }
    }

    // MARK: Macros

    /// What a macro writes. Its variables are its own; beyond them it sees those of the place where it was defined.
    private func run(_ value: MacroValue, _ arguments: Arguments) throws(TemplateError) -> [Scalar] {
        // A call takes as much of the machine's stack as other levels together.
        try descend(4)
        defer { ascend(4) }
        let macro = value.macro
        return try capture { () throws(TemplateError) in
            try scoped(in: value.scope) { () throws(TemplateError) in
                try bind(arguments, to: macro)
                _ = try run(macro.body)
            }
        }
    }

    private func bind(_ arguments: Arguments, to macro: MacroStatement) throws(TemplateError) {
        try charge(4 * (macro.parameters.count + arguments.named.count))
        var places: [String: Int] = [:]
        for (index, argument) in arguments.named.enumerated() { places[argument.name] = index }
        func take(_ name: String) -> Value? { places.removeValue(forKey: name).map { arguments.named[$0].value } }
        var given: [Value?] = []
        for (index, name) in macro.parameters.enumerated() {
            given.append(index < arguments.positional.count ? arguments.positional[index] : take(name))
        }
        if macro.uses.caller, !macro.parameters.contains("caller") {
            let caller = take("caller") ?? .none
            scope.set("caller", caller.isNone ? .undefined("no caller is defined") : caller)
        }
        // Of no parameter, in the order of the call.
        let named = arguments.named.filter { places[$0.name] != nil }
        let rest = arguments.positional.dropFirst(macro.parameters.count)
        let name = macro.name ?? "caller"
        if macro.uses.keywords {
            var keywords = Mapping()
            for (name, value) in named { try set(.string(name), value, in: &keywords) }
            scope.set("kwargs", .dictionary(keywords))
        } else if let stranger = named.first {
            throw fail(.type, "the macro '\(name)' has no parameter '\(stranger.name)'")
        }
        if macro.uses.positional {
            scope.set("varargs", .tuple(try items(Array(rest))))
        } else if !rest.isEmpty {
            throw fail(.type, "the macro '\(name)' has \(macro.parameters.count) parameters, not more")
        }
        let firstDefault = macro.parameters.count - macro.defaults.count
        for (index, name) in macro.parameters.enumerated() {
            if let value = given[index] {
                scope.set(name, value)
            } else if index < firstDefault {
                scope.set(name, .undefined("the parameter '\(name)' was not given"))
            } else {
                scope.set(name, try evaluate(macro.defaults[index - firstDefault]))
            }
        }
    }

    // MARK: Functions

    private func call(_ function: GlobalFunction, _ arguments: Arguments) throws(TemplateError) -> Value {
        switch function {
        case .range: return .range(try range(arguments))
        case .dict: return .dictionary(try dictionary(arguments, "dict"))
        case .namespace:
            let mapping = try dictionary(arguments, "namespace")
            for case .string(let name) in mapping.keys where name.scalars.first?.code == 0x5F {
                try checkAttribute(name.string)
            }
            try charge(elements: 4)
            namespaces.append(mapping)
            return .namespace(namespaces.count - 1)
        case .raiseException:
            let message = try bind(arguments, of: function.rawValue, ["message"], required: 1)
            throw fail(.raised, try message[0].map { (value) throws(TemplateError) in try text(value).string } ?? "")
        case .strftimeNow:
            let format = try text(bind(arguments, of: function.rawValue, ["format"], required: 1), 0) ?? Text([])
            return .string(try formattedTime(format))
        case .cycler, .joiner, .lipsum: throw fail(.unsupported, "the function '\(function.rawValue)'")
        }
    }

    private func range(_ arguments: Arguments) throws(TemplateError) -> Progression {
        let bounds = try bind(arguments, of: "range", ["start", "stop", "step"], required: 1, firstNamed: 3)
        let first = try wholeNumber(bounds, 0) ?? 0
        let second = try wholeNumber(bounds, 1)
        let step = try wholeNumber(bounds, 2) ?? 1
        guard step != 0 else { throw fail(.value, "range: the step is zero") }
        let (start, end) = second.map { (first, $0) } ?? (0, first)
        guard step > 0 ? start < end : start > end else { return Progression(start: start, step: step, count: 0) }
        let (span, overflow) = (step > 0 ? end : start).subtractingReportingOverflow(step > 0 ? start : end)
        let count = overflow ? UInt.max : (UInt(span) - 1) / step.magnitude + 1
        guard count <= TemplateLimits.range else {
            throw fail(.limit, "range: more than \(TemplateLimits.range) numbers")
        }
        return Progression(start: start, step: step, count: Int(count))
    }

    /// A dictionary of the arguments, as Python's `dict` makes it.
    private func dictionary(_ arguments: Arguments, _ function: String) throws(TemplateError) -> Mapping {
        guard arguments.positional.count <= 1 else { throw fail(.type, "\(function): more than one argument") }
        var mapping = Mapping()
        switch arguments.positional.first {
        case nil: break
        case .undefined(let reason)?: throw fail(.undefined, reason)
        case .dictionary(let given)?:
            try charge(elements: 4 * given.count)
            mapping = given
        case let pairs?:
            for pair in try elements(of: pairs) {
                let parts = try elements(of: pair)
                guard parts.count == 2 else { throw fail(.value, "\(function): a key and a value are needed") }
                try set(parts[0], parts[1], in: &mapping)
            }
        }
        for (name, value) in arguments.named { try set(.string(name), value, in: &mapping) }
        return mapping
    }
}
