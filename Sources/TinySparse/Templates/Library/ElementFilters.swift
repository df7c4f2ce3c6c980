// SPDX-License-Identifier: Apache-2.0

// Filters of lists and what else has elements.

/// The way from a value to a part of it: "a.b.0", as filters take it.
struct AttributePath {
    fileprivate let steps: [Value]
}

extension Interpreter {
    /// - Parameter attribute: a text or a number; nil and none for the value itself.
    private func path(_ attribute: Value?) throws(TemplateError) -> AttributePath {
        switch attribute {
        case nil, Value.none?: return AttributePath(steps: [])
        case .string(let text)?:
            try charge(text.count)
            let parts = text.scalars.split(by: [Scalar(0x2E)], limit: .max, fromRight: false)
            try charge(elements: parts.count)
            return AttributePath(
                steps: parts.map { part in
                    let isIndex = !part.isEmpty && part.allSatisfy { 0x30...0x39 ~= $0.code }
                    return isIndex ? Int(part.string).map { .integer($0) } ?? .string(part) : .string(part)
                })
        case let index?:
            guard index.wholeNumber != nil else {
                throw fail(.type, "an attribute is a name or a number, not \(index.typeName)")
            }
            return AttributePath(steps: [index])
        }
    }

    private func part(
        of value: Value, _ path: AttributePath, orElse standard: Value = .none
    ) throws(TemplateError) -> Value {
        var part = value
        try charge(4 + 4 * path.steps.count)
        for step in path.steps {
            part = try item(step, of: part)
            if !standard.isNone, part.isUndefined { part = standard }
        }
        return part
    }

    /// What values are sorted by: case does not count unless it is asked for.
    private func sortKey(_ value: Value, isCaseSensitive: Bool) throws(TemplateError) -> Value {
        guard !isCaseSensitive, case .string(let text) = value else { return value }
        try charge(text.count)
        return .string(text.scalars[...].lowercased)
    }

    func join(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> [Scalar] {
        let bound = try bind(arguments, of: "join", ["d", "attribute"])
        let separator = try text(bound[0] ?? .string("")).scalars
        let path = try path(bound[1])
        var joined: [Scalar] = []
        for (index, element) in try elements(of: value).enumerated() {
            let text = try text(part(of: element, path))
            try charge(text.count + separator.count)
            if index > 0 { joined += separator }
            joined += text.scalars
        }
        return joined
    }

    func map(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        guard isTrue(value) else { return try iterator([]) }
        var results: [Value] = []
        if arguments.positional.isEmpty {
            let bound = try bind(arguments, of: "map", ["attribute", "default"], required: 1)
            let path = try path(bound[0])
            for element in try elements(of: value) {
                results.append(try part(of: element, path, orElse: bound[1] ?? .none))
            }
        } else {
            let (name, rest) = try named(arguments, "map")
            guard let filter = Filter(name: name) else { throw fail(.unsupported, "there is no filter '\(name)'") }
            for element in try elements(of: value) { results.append(try apply(filter, to: element, rest)) }
        }
        return try iterator(results)
    }

    /// The name that is the first argument, and the other arguments.
    private func named(_ arguments: Arguments, _ filter: String) throws(TemplateError) -> (String, Arguments) {
        guard case .string(let name)? = arguments.positional.first else {
            throw fail(.type, "\(filter): a name is needed")
        }
        try charge(name.count)
        return (name.string, Arguments(positional: Array(arguments.positional.dropFirst()), named: arguments.named))
    }

    func select(_ filter: Filter, _ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        guard isTrue(value) else { return try iterator([]) }
        var arguments = arguments
        var path = AttributePath(steps: [])
        if filter == .selectattr || filter == .rejectattr {
            guard let attribute = arguments.positional.first else {
                throw fail(.type, "\(filter.rawValue): the name of an attribute is missing")
            }
            arguments.positional.removeFirst()
            path = try self.path(attribute)
        }
        var test: ValueTest?
        if !arguments.positional.isEmpty {
            let (name, rest) = try named(arguments, filter.rawValue)
            test = ValueTest(name: name)
            guard test != nil else { throw fail(.unsupported, "there is no test '\(name)'") }
            arguments = rest
        }
        let wanted = filter == .select || filter == .selectattr
        var results: [Value] = []
        for element in try elements(of: value) {
            let part = try part(of: element, path)
            let isChosen = try test.map { (test) throws(TemplateError) in try self.test(part, test, arguments) }
            if isChosen ?? isTrue(part) == wanted { results.append(element) }
        }
        return try iterator(results)
    }

    func applyToElements(_ filter: Filter, _ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        switch filter {
        case .sort: return try sort(value, arguments)
        case .dictsort: return try sortDictionary(value, arguments)
        case .unique, .min, .max:
            let bound = try bind(arguments, of: filter.rawValue, ["case_sensitive", "attribute"])
            let path = try path(bound[1])
            let elements = try elements(of: value)
            var keys: [Value] = []
            for element in elements {
                keys.append(try sortKey(part(of: element, path), isCaseSensitive: isTrue(bound, 0)))
            }
            return filter == .unique
                ? try unique(elements, keys) : try extreme(elements, keys, isMaximum: filter == .max)
        case .sum:
            let bound = try bind(arguments, of: "sum", ["attribute", "start"])
            let path = try path(bound[0])
            var sum = bound[1] ?? .integer(0)
            if case .string = sum { throw fail(.type, "sum: texts cannot be added") }
            for element in try elements(of: value) { sum = try compute(sum, .add, part(of: element, path)) }
            return sum
        case .attr:
            let text = try text(bind(arguments, of: "attr", ["name"], required: 1), 0) ?? Text([])
            try charge(text.count)
            let name = text.string
            return try builtin(name, of: value) ?? .undefined("a value of the type \(value.typeName) has no '\(name)'")
        case .batch: return try batch(value, arguments)
        default: return try parts(value, arguments)
        }
    }

    private func sort(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try bind(arguments, of: "sort", ["reverse", "case_sensitive", "attribute"])
        var paths: [AttributePath] = []
        if case .string(let text)? = bound[2] {
            for attribute in text.scalars.split(by: [Scalar(0x2C)], limit: .max, fromRight: false) {
                paths.append(try path(.string(attribute)))
            }
        } else {
            paths = [try path(bound[2])]
        }
        let elements = try elements(of: value)
        var keys: [Value] = []
        for element in elements {
            var parts: [Value] = []
            for path in paths {
                parts.append(try sortKey(part(of: element, path), isCaseSensitive: isTrue(bound, 1)))
            }
            keys.append(try list(parts))
        }
        let isDescending = try wholeNumber(bound, 0) ?? 0 != 0
        return try list(sorted(keys, descending: isDescending).map { elements[$0] })
    }

    private func sortDictionary(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try bind(arguments, of: "dictsort", ["case_sensitive", "by", "reverse"])
        guard case .dictionary(let mapping) = value else {
            throw fail(
                value.isUndefined ? .undefined : .type, "dictsort: a dictionary is needed, not \(value.typeName)")
        }
        let by = try text(bound, 1)?.string ?? "key"
        guard by == "key" || by == "value" else { throw fail(.value, "dictsort: by \"key\" or by \"value\"") }
        var keys: [Value] = []
        for key in by == "key" ? mapping.keys : mapping.values {
            keys.append(try sortKey(key, isCaseSensitive: isTrue(bound, 0)))
        }
        let items = mapping.items
        try charge(elements: 4 * items.count)
        let isDescending = try wholeNumber(bound, 2) ?? 0 != 0
        return try list(sorted(keys, descending: isDescending).map { items[$0] })
    }
}
