// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    /// `value is test`.
    func test(_ value: Value, _ test: ValueTest, _ arguments: Arguments) throws(TemplateError) -> Bool {
        if let comparison = test.comparison {
            let bound = try bind(arguments, of: test.rawValue, ["other"], required: 1, firstNamed: 1)
            return try compare(value, comparison, bound[0] ?? .none)
        }
        switch test {
        case .divisibleby:
            let number = try bind(arguments, of: test.rawValue, ["num"], required: 1)[0] ?? .none
            return try areEqual(remainder(value, number, test), .integer(0))
        case .sameas:
            let other = try bind(arguments, of: test.rawValue, ["other"], required: 1)[0] ?? .none
            return try isSame(value, other)
        default: break
        }
        _ = try bind(arguments, of: test.rawValue, [])
        switch test {
        case .even: return try areEqual(remainder(value, .integer(2), test), .integer(0))
        case .odd: return try areEqual(remainder(value, .integer(2), test), .integer(1))
        case .defined: return !value.isUndefined
        case .undefined: return value.isUndefined
        case .lower: return try charged(text(value).scalars)[...].hasCase(upper: false)
        case .upper: return try charged(text(value).scalars)[...].hasCase(upper: true)
        case .filter: return try name(value, test).flatMap { Filter(name: $0) } != nil
        case .test: return try name(value, test).flatMap { ValueTest(name: $0) } != nil
        default: return isOfType(value, test)
        }
    }

    private func remainder(_ value: Value, _ divisor: Value, _ test: ValueTest) throws(TemplateError) -> Value {
        if case .string = value { throw fail(.type, "\(test.rawValue): a number is needed, not a text") }
        return try compute(value, .remainder, divisor)
    }

    /// The text of a value that is looked up among names; nil for another that Python can look up.
    private func name(_ value: Value, _ test: ValueTest) throws(TemplateError) -> String? {
        guard case .string(let name) = value else {
            if try isHashable(value) { return nil }
            throw fail(.type, "\(test.rawValue): a name is needed, not \(value.typeName)")
        }
        try charge(name.count)
        return name.string
    }

    /// Python's `is`, as far as it does not depend on how Python keeps its values.
    private func isSame(_ a: Value, _ b: Value) throws(TemplateError) -> Bool {
        switch (a, b) {
        case (.none, .none): return true
        case (.bool(let a), .bool(let b)): return a == b
        case (.namespace(let a), .namespace(let b)), (.macro(let a), .macro(let b)): return a == b
        default:
            guard a.typeName != b.typeName else {
                throw fail(.unsupported, "'sameas' for values of the type \(a.typeName); use '=='")
            }
            return false
        }
    }

    private func isOfType(_ value: Value, _ test: ValueTest) -> Bool {
        switch (test, value) {
        case (.none, .none), (.boolean, .bool), (.true, .bool(true)), (.false, .bool(false)): true
        case (.integer, .integer), (.float, .double), (.number, .integer), (.number, .double), (.number, .bool): true
        case (.string, .string), (.mapping, .dictionary): true
        case (.escaped, .string(let text)): text.isMarkup
        case (.sequence, .string), (.sequence, .list), (.sequence, .tuple), (.sequence, .dictionary): true
        case (.sequence, .range), (.sequence, .undefined): true
        case (.iterable, .string), (.iterable, .list), (.iterable, .tuple), (.iterable, .dictionary): true
        case (.iterable, .range), (.iterable, .undefined), (.iterable, .view), (.iterable, .iterator): true
        case (.iterable, .loop): true
        case (.callable, .macro), (.callable, .function), (.callable, .method), (.callable, .loop): true
        case (.callable, .undefined): true
        default: false
        }
    }
}

extension ValueTest {
    fileprivate var comparison: Comparison? {
        switch self {
        case .equal: .equal
        case .notEqual: .notEqual
        case .greater: .greater
        case .atLeast: .atLeast
        case .less: .less
        case .atMost: .atMost
        case .isIn: .isIn
        default: nil
        }
    }
}
