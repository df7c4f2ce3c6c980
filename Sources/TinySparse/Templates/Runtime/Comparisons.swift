// SPDX-License-Identifier: Apache-2.0

// Truth, equality and order as in Python.

extension Interpreter {
    func isTrue(_ value: Value) -> Bool {
        switch value {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .double(let value): value != 0
        case .string(let text): !text.scalars.isEmpty
        case .list(let items), .tuple(let items): items.count > 0
        case .dictionary(let mapping), .view(_, let mapping): mapping.count > 0
        case .range(let range): range.count > 0
        case .iterator, .namespace, .macro, .loop, .function, .method: true
        }
    }

    func compare(_ a: Value, _ comparison: Comparison, _ b: Value) throws(TemplateError) -> Bool {
        switch comparison {
        case .equal: try areEqual(a, b)
        case .notEqual: try !areEqual(a, b)
        case .less: try isLess(a, b, "<")
        case .atMost: try isLess(a, b, "<=", orEqual: true)
        case .greater: try isLess(b, a, ">")
        case .atLeast: try isLess(b, a, ">=", orEqual: true)
        case .isIn: try contains(b, a)
        case .isNotIn: try !contains(b, a)
        }
    }

    /// Charges its steps, because shared parts of a value are compared more than once.
    func areEqual(_ a: Value, _ b: Value) throws(TemplateError) -> Bool {
        try charge(4)
        switch (a, b) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let a), .string(let b)):
            try charge(min(a.count, b.count) / 8)
            return a == b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): return try areEqual(a.values, b.values)
        case (.dictionary(let a), .dictionary(let b)):
            guard a.count == b.count else { return false }
            for index in 0..<a.count {
                try charge(reading: a.keys[index])
                guard let other = b[a.keys[index]], try areEqual(a.values[index], other) else { return false }
            }
            return true
        case (.range(let a), .range(let b)):
            return a.count == b.count && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
        case (.namespace(let a), .namespace(let b)), (.macro(let a), .macro(let b)): return a == b
        case (.loop(let a), .loop(let b)): return a === b
        case (.iterator(let a), .iterator(let b)): return a === b
        case (.function(let a), .function(let b)): return a == b
        case (.view(let kind, _), .view(let other, _)):
            guard kind == .values || other == .values else {
                throw fail(.unsupported, "dictionary views cannot be compared here; make lists of them")
            }
            return false
        default: return order(a, b) == .equal
        }
    }

    private func areEqual(_ a: [Value], _ b: [Value]) throws(TemplateError) -> Bool {
        guard a.count == b.count else { return false }
        for (index, value) in a.enumerated() where try !areEqual(value, b[index]) { return false }
        return true
    }

    enum Order { case less, equal, greater, unordered }

    /// The order of two numbers, without rounding; nil if they are none.
    private func order(_ a: Value, _ b: Value) -> Order? {
        switch (a, b) {
        case (.double(let a), .double(let b)): return a < b ? .less : a == b ? .equal : a > b ? .greater : .unordered
        case (.double, _):
            switch order(b, a) {
            case .less: return .greater
            case .greater: return .less
            case let other: return other
            }
        case (_, .double(let b)):
            guard let a = a.wholeNumber else { return nil }
            if b.isNaN { return .unordered }
            if b >= 0x1p63 { return .less }
            if b < -0x1p63 { return .greater }
            let whole = Int(b.rounded(.down))
            return a < whole || a == whole && Double(whole) < b ? .less : a == whole ? .equal : .greater
        default:
            guard let a = a.wholeNumber, let b = b.wholeNumber else { return nil }
            return a < b ? .less : a == b ? .equal : .greater
        }
    }

    func isLess(_ a: Value, _ b: Value, _ sign: String, orEqual: Bool = false) throws(TemplateError) -> Bool {
        try charge(4)
        if let order = order(a, b) { return order == .less || orEqual && order == .equal }
        switch (a, b) {
        case (.string(let a), .string(let b)):
            try charge(min(a.count, b.count) / 8)
            return a.scalars.lexicographicallyPrecedes(b.scalars) || orEqual && a == b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (index, value) in a.values.enumerated() where index < b.count {
                if try !areEqual(value, b.values[index]) {
                    return try isLess(value, b.values[index], sign, orEqual: orEqual)
                }
            }
            return a.count < b.count || orEqual && a.count == b.count
        case (.undefined(let reason), _), (_, .undefined(let reason)): throw fail(.undefined, reason)
        default: throw fail(.type, "'\(sign)' does not order values of the types \(a.typeName) and \(b.typeName)")
        }
    }

    /// Whether a collection contains a value.
    func contains(_ collection: Value, _ value: Value) throws(TemplateError) -> Bool {
        switch collection {
        case .string(let text):
            guard case .string(let part) = value else {
                throw fail(.type, "'in' needs a text to look for in a text, not \(value.typeName)")
            }
            try charge(text.count / 2)
            return text.scalars.contains(part.scalars)
        case .dictionary(let mapping), .view(.keys, let mapping):
            guard try isHashable(value) else {
                throw fail(.type, "a value of the type \(value.typeName) cannot be the key of a dictionary")
            }
            try charge(reading: value)
            return mapping[value] != nil
        case .iterator(let iterator):
            while let item = iterator.next() { if try areEqual(item, value) { return true } }
            return false
        case .loop: throw fail(.unsupported, "'in' does not look into loops here")
        default:
            for item in try elements(of: collection) where try areEqual(item, value) { return true }
            return false
        }
    }

    /// Whether a value can be a key in Python; not all of them can here.
    func isHashable(_ value: Value) throws(TemplateError) -> Bool {
        try charge(4)
        switch value {
        case .list, .dictionary, .view(.keys, _), .view(.items, _): return false
        case .tuple(let items):
            for element in items.values where try !isHashable(element) { return false }
            return true
        default: return true
        }
    }

    /// The places of values in ascending order, equal ones in the order they have.
    func sorted(_ values: [Value], descending: Bool = false) throws(TemplateError) -> [Int] {
        try charge(elements: values.count)
        var order = Array(values.indices)
        var merged = order
        var width = 1
        while width < order.count {
            for start in stride(from: 0, to: order.count, by: 2 * width) {
                let middle = min(start + width, order.count)
                let end = min(start + 2 * width, order.count)
                var (left, right) = (start, middle)
                for place in start..<end {
                    // From the right only what is smaller, so that the order is stable.
                    let (a, b) = (left < middle ? order[left] : 0, right < end ? order[right] : 0)
                    var takesRight = right < end
                    if takesRight, left < middle {
                        takesRight =
                            try descending ? isLess(values[a], values[b], "<") : isLess(values[b], values[a], "<")
                    }
                    merged[place] = takesRight ? b : a
                    if takesRight { right += 1 } else { left += 1 }
                }
            }
            swap(&order, &merged)
            width *= 2
        }
        return order
    }
}
