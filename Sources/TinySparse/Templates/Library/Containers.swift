// SPDX-License-Identifier: Apache-2.0

// What can be iterated over, and the methods of lists, tuples and dictionaries.

extension Interpreter {
    /// The elements of a value, as a loop goes through them. Reads a generator to its end.
    /// - Throws: `TemplateError` for values without elements.
    func elements(of value: Value) throws(TemplateError) -> [Value] {
        switch value {
        case .list(let items), .tuple(let items): return items.values
        case .dictionary(let mapping): return mapping.keys
        case .undefined: return []
        case .string(let text):
            try charge(elements: 2 * text.count)
            return text.scalars.map { .string(Text([$0])) }
        case .range(let range):
            try charge(elements: range.count)
            return range.values
        case .view(let kind, let mapping):
            switch kind {
            case .keys: return mapping.keys
            case .values: return mapping.values
            case .items:
                try charge(elements: 4 * mapping.count)
                return mapping.items
            }
        case .iterator(let iterator): return iterator.rest
        case .loop: throw fail(.unsupported, "going through a loop variable")
        default: throw fail(.type, "a value of the type \(value.typeName) has no elements")
        }
    }

    /// Python's `len`.
    func length(of value: Value) throws(TemplateError) -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text): return text.count
        case .list(let items), .tuple(let items): return items.count
        case .dictionary(let mapping), .view(_, let mapping): return mapping.count
        case .range(let range): return range.count
        case .loop(let loop): return try loop.count()
        default: throw fail(.type, "a value of the type \(value.typeName) has no length")
        }
    }

    func method(
        _ name: String, of items: Items, isTuple: Bool, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard name != "copy" else {
            _ = try bind(arguments, of: name, [])
            return .list(items)
        }
        guard arguments.count < 2 else { throw fail(.unsupported, "'\(name)' with a range") }
        let bound = try bind(arguments, of: name, ["value"], required: 1, firstNamed: 1)
        var places: [Int] = []
        for (index, value) in items.values.enumerated() where try areEqual(value, bound[0] ?? .none) {
            places.append(index)
        }
        if name == "count" { return .integer(places.count) }
        guard let first = places.first else { throw fail(.value, "index: the value is not in the list") }
        return .integer(first)
    }

    func method(_ name: String, of mapping: Mapping, _ arguments: Arguments) throws(TemplateError) -> Value {
        if name == "get" {
            let bound = try bind(arguments, of: name, ["key", "default"], required: 1, firstNamed: 2)
            let key = bound[0] ?? .none
            _ = try contains(.dictionary(mapping), key)
            return mapping[key] ?? bound[1] ?? .none
        }
        _ = try bind(arguments, of: name, [])
        switch name {
        case "keys": return .view(.keys, mapping)
        case "values": return .view(.values, mapping)
        case "items": return .view(.items, mapping)
        default: return .dictionary(mapping)
        }
    }
}
