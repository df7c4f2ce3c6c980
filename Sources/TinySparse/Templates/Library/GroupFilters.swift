// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    /// The first element of each key.
    func unique(_ elements: [Value], _ keys: [Value]) throws(TemplateError) -> Value {
        var seen = Mapping()
        var results: [Value] = []
        for (index, key) in keys.enumerated() {
            try charge(reading: key)
            guard seen[key] == nil else { continue }
            try set(key, .none, in: &seen)
            results.append(elements[index])
        }
        return try iterator(results)
    }

    /// The first element with the smallest or largest key.
    func extreme(_ elements: [Value], _ keys: [Value], isMaximum: Bool) throws(TemplateError) -> Value {
        guard !elements.isEmpty else { return .undefined("there is no smallest or largest item") }
        var best = 0
        for index in keys.indices.dropFirst() {
            let isBetter = try isMaximum ? isLess(keys[best], keys[index], ">") : isLess(keys[index], keys[best], "<")
            if isBetter { best = index }
        }
        return elements[best]
    }

    /// Groups of `linecount` elements.
    func batch(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try bind(arguments, of: "batch", ["linecount", "fill_with"], required: 1)
        let count = try wholeNumber(bound, 0) ?? 1
        guard count > 0 else { throw fail(.unsupported, "batch: groups of \(count) elements") }
        let elements = try elements(of: value)
        var groups: [Value] = []
        for start in stride(from: 0, to: elements.count, by: count) {
            var group = Array(elements[start...].prefix(count))
            if let fill = bound[1], !fill.isNone {
                try charge(elements: count - group.count)
                for _ in group.count..<count { group.append(fill) }
            }
            groups.append(try list(group))
        }
        return try iterator(groups)
    }

    /// `slices` groups of nearly the same size.
    func parts(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try bind(arguments, of: "slice", ["slices", "fill_with"], required: 1)
        let count = try wholeNumber(bound, 0) ?? 1
        let elements = try elements(of: value)
        guard count != 0 else { throw fail(.value, "slice: division by zero") }
        try charge(elements: max(count, 0))
        var groups: [Value] = []
        var start = 0
        for index in 0..<max(count, 0) {
            let isLarger = index < elements.count % count
            let end = start + elements.count / count + (isLarger ? 1 : 0)
            var group = Array(elements[start..<end])
            if let fill = bound[1], !fill.isNone, !isLarger { group.append(fill) }
            groups.append(try list(group))
            start = end
        }
        return try iterator(groups)
    }

    // MARK: Numbers

    func magnitude(of value: Value) throws(TemplateError) -> Value {
        switch value {
        case .double(let value): return .double(value.magnitude)
        default:
            guard let number = value.wholeNumber else {
                throw fail(.type, "abs: a number is needed, not \(value.typeName)")
            }
            return number < 0 ? try negated(.integer(number)) : .integer(number)
        }
    }

    func applyToNumber(_ filter: Filter, _ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        if case .undefined(let reason) = value { throw fail(.undefined, reason) }
        try charge(reading: value)
        switch filter {
        case .float:
            let bound = try bind(arguments, of: "float", ["default"])
            return real(value).map { .double($0) } ?? bound[0] ?? .double(0)
        case .int:
            let bound = try bind(arguments, of: "int", ["default", "base"])
            return try integer(value, base: wholeNumber(bound, 1) ?? 10) ?? bound[0] ?? .integer(0)
        default: return try round(value, arguments)
        }
    }

    /// What Python's `float` makes of a value; nil if that is an error.
    private func real(_ value: Value) -> Double? {
        switch value {
        case .double(let value): value
        case .string(let text): Double(python: text.scalars[...])
        default: value.wholeNumber.map { Double($0) }
        }
    }

    private func integer(_ value: Value, base: Int) throws(TemplateError) -> Value? {
        if case .string(let text) = value {
            guard 2...36 ~= base else { throw fail(.unsupported, "int: the base \(base)") }
            guard base == 10 || !text.scalars.contains(where: { $0.code == 0x5F }) else {
                throw fail(.unsupported, "int: underscores in a number of another base than 10")
            }
            switch ParsedInteger(text.scalars[...], base: base) {
            case .value(let number): return .integer(number)
            case .tooLarge: throw fail(.value, "int: an integer does not fit in 64 bits")
            case .noNumber: break
            }
            if base != 10, text.scalars.contains(where: { $0.code == 0x78 || $0.code == 0x6F || $0.code == 0x62 }) {
                throw fail(.unsupported, "int: a prefix of a number")
            }
        } else if let number = value.wholeNumber {
            return .integer(number)
        }
        guard let number = real(value), !number.isNaN else { return nil }
        guard number.isFinite else {
            if case .string = value { return nil }
            throw fail(.value, "int: the number is infinite")
        }
        guard let whole = Int(exactly: number.rounded(.towardZero)) else {
            throw fail(.value, "int: an integer does not fit in 64 bits")
        }
        return .integer(whole)
    }

    private func round(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try bind(arguments, of: "round", ["precision", "method"])
        guard try wholeNumber(bound, 0) ?? 0 == 0 else {
            throw fail(.unsupported, "round: another precision than 0")
        }
        let method = try text(bound, 1)?.string ?? "common"
        if let number = value.wholeNumber, method == "common" { return .integer(number) }
        guard let number = value.wholeNumber.map({ Double($0) }) ?? real(value), number.isFinite else {
            throw fail(.type, "round: a finite number is needed, not \(value.typeName)")
        }
        if case .string = value { throw fail(.type, "round: a number is needed, not a text") }
        switch method {
        case "common": return .double(number.rounded(.toNearestOrEven))
        case "ceil": return .double(number.rounded(.up))
        case "floor": return .double(number.rounded(.down))
        default: throw fail(.value, "round: by \"common\", \"ceil\" or \"floor\"")
        }
    }
}
