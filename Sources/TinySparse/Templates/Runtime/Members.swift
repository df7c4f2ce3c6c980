// SPDX-License-Identifier: Apache-2.0

// Members, elements and slices of values.

extension Interpreter {
    /// `value.name`: a method of Python's type, or else the member of a dictionary.
    func attribute(_ name: String, of value: Value) throws(TemplateError) -> Value {
        if let attribute = try builtin(name, of: value) { return attribute }
        if case .dictionary(let mapping) = value, let member = mapping[name: name] { return member }
        return missing(name, of: value)
    }

    /// `value[key]`: an element, or else a method of Python's type.
    func item(_ key: Value, of value: Value) throws(TemplateError) -> Value {
        try charge(reading: key)
        switch value {
        case .undefined(let reason): throw fail(.undefined, reason)
        case .dictionary(let mapping): if let member = mapping[key] { return member }
        case .string(let text):
            if let index = key.wholeNumber.flatMap({ place($0, in: text.count) }) {
                return .string(Text([text.scalars[index]], isMarkup: text.isMarkup))
            }
        case .list(let items), .tuple(let items):
            if let index = key.wholeNumber.flatMap({ place($0, in: items.count) }) { return items.values[index] }
        case .range(let range):
            if let index = key.wholeNumber.flatMap({ place($0, in: range.count) }) { return .integer(range[index]) }
        default: break
        }
        guard case .string(let name) = key else { return .undefined("there is no such element in \(value.typeName)") }
        return try builtin(name.string, of: value) ?? missing(name.string, of: value)
    }

    /// An index from the beginning or, if negative, from the end.
    func place(_ index: Int, in count: Int) -> Int? {
        let place = index < 0 ? index + count : index
        return 0..<count ~= place ? place : nil
    }

    private func missing(_ name: String, of value: Value) -> Value {
        .undefined("a value of the type \(value.typeName) has no '\(name)'")
    }

    /// What Python's type gives a value under a name; nil if it has nothing of that name.
    func builtin(_ name: String, of value: Value) throws(TemplateError) -> Value? {
        let isInternal = name.hasPrefix("__") && name.hasSuffix("__")
        switch value {
        case .undefined(let reason): throw fail(.undefined, reason)
        case .namespace(let index): return namespaces[index][name: name]
        case .loop(let loop):
            if let value = try self.value(name, of: loop) { return value }
        case .macro(let index): if name == "name" { return .string(macros[index].macro.name ?? "") }
        default: break
        }
        if isInternal { return .undefined("access to '\(name)' is unsafe") }
        switch MethodTable.kind(of: name, for: value) {
        case .method: return .method(value, name)
        case .unsafe:
            return .undefined("'\(name)' would change a \(value.typeName), which the sandbox of chat templates forbids")
        case .unsupported: throw fail(.unsupported, "'\(name)' of \(value.typeName)")
        case nil: return nil
        }
    }

    private func value(_ name: String, of loop: Loop) throws(TemplateError) -> Value? {
        switch name {
        case "index": return .integer(loop.index0 + 1)
        case "index0": return .integer(loop.index0)
        case "first": return .bool(loop.index0 == 0)
        case "last": return .bool(try loop.next() == nil)
        case "length": return .integer(try loop.count())
        case "revindex": return .integer(try loop.count() - loop.index0)
        case "revindex0": return .integer(try loop.count() - loop.index0 - 1)
        case "depth": return .integer(1)
        case "depth0": return .integer(0)
        case "previtem":
            return loop.index0 == 0 ? .undefined("there is no previous item") : loop.before ?? .undefined("")
        case "nextitem": return try loop.next() ?? .undefined("there is no next item")
        default: return nil
        }
    }

    // MARK: Slices

    func slice(
        _ value: Value, _ from: Expression?, _ to: Expression?, _ step: Expression?
    ) throws(TemplateError) -> Value {
        let bounds = [try bound(from), try bound(to), try bound(step)]
        func part<T>(_ elements: [T], _ units: Int) throws(TemplateError) -> [T] {
            let chosen = Array(try places(bounds, in: elements.count))
            try charge(chosen.count * units)
            return chosen.map { elements[$0] }
        }
        switch value {
        case .string(let text): return .string(Text(try part(text.scalars, 1), isMarkup: text.isMarkup))
        case .list(let items): return .list(Items(try part(items.values, 16)))
        case .tuple(let items): return .tuple(Items(try part(items.values, 16)))
        case .range: throw fail(.unsupported, "a slice of a range; make a list of it")
        case .undefined(let reason): throw fail(.undefined, reason)
        default: throw fail(.type, "a value of the type \(value.typeName) cannot be sliced")
        }
    }

    private func bound(_ expression: Expression?) throws(TemplateError) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression)
        if value.isNone { return nil }
        guard let bound = value.wholeNumber else {
            throw fail(.type, "the bounds of a slice are whole numbers, not \(value.typeName)")
        }
        return bound
    }

    /// The places of a slice, as Python counts them.
    private func places(_ bounds: [Int?], in count: Int) throws(TemplateError) -> StrideTo<Int> {
        let step = bounds[2] ?? 1
        guard step != 0 else { throw fail(.value, "the step of a slice is zero") }
        let (first, last) = step > 0 ? (0, count) : (-1, count - 1)
        func clamped(_ bound: Int?, _ standard: Int) -> Int {
            guard let bound else { return standard }
            return min(max(bound < 0 ? bound + count : bound, first), last)
        }
        let from = clamped(bounds[0], step > 0 ? 0 : count - 1)
        let to = clamped(bounds[1], step > 0 ? count : -1)
        // A longer step does not matter, and would overflow.
        return stride(from: from, to: to, by: min(max(step, -count - 1), count + 1))
    }
}
