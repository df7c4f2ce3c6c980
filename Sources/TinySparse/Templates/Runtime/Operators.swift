// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

// Arithmetic as in Python, but for integers beyond 64 bits, which are errors.

extension Interpreter {
    func number(_ value: Value, for sign: String) throws(TemplateError) -> Value {
        switch value {
        case .double: return value
        case .undefined(let reason): throw fail(.undefined, reason)
        default:
            guard let number = value.wholeNumber else {
                throw fail(.type, "'\(sign)' needs a number, not \(value.typeName)")
            }
            return .integer(number)
        }
    }

    func negated(_ value: Value) throws(TemplateError) -> Value {
        if case .double(let number) = value { return .double(-number) }
        guard case .integer(let number) = try number(value, for: "-") else { return value }
        return .integer(try exact(0.subtractingReportingOverflow(number)))
    }

    private func exact(_ result: (partialValue: Int, overflow: Bool)) throws(TemplateError) -> Int {
        guard !result.overflow else { throw fail(.value, "an integer does not fit in 64 bits") }
        return result.partialValue
    }

    func compute(_ a: Value, _ operation: Arithmetic, _ b: Value) throws(TemplateError) -> Value {
        try charge(4)
        if let a = a.wholeNumber, let b = b.wholeNumber { return try compute(a, operation, b) }
        if let a = real(a), let b = real(b) { return .double(try compute(a, operation, b)) }
        switch (operation, a, b) {
        case (.remainder, .string(let pattern), _):
            guard !pattern.isMarkup else { throw fail(.unsupported, "formatting of text that is marked safe") }
            return .string(try formatted(pattern, with: b))
        case (_, .undefined(let reason), _), (_, _, .undefined(let reason)): throw fail(.undefined, reason)
        case (.add, .string(let a), .string(let b)):
            let isMarkup = a.isMarkup || b.isMarkup
            let (left, right) = isMarkup ? (escaped(a), escaped(b)) : (a, b)
            try charge(left.count + right.count)
            return .string(Text(left.scalars + right.scalars, isMarkup: isMarkup))
        case (.add, .list(let a), .list(let b)): return try list(a.values + b.values)
        case (.add, .tuple(let a), .tuple(let b)): return .tuple(try items(a.values + b.values))
        case (.multiply, _, _):
            if let count = b.wholeNumber, let repeated = try multiplied(a, count) { return repeated }
            if let count = a.wholeNumber, let repeated = try multiplied(b, count) { return repeated }
        default: break
        }
        throw fail(.type, "'\(operation.sign)' cannot be computed for the types \(a.typeName) and \(b.typeName)")
    }

    private func real(_ value: Value) -> Double? {
        if case .double(let value) = value { return value }
        return value.wholeNumber.map { Double($0) }
    }

    /// A text or list several times in a row; nil for other values.
    private func multiplied(_ value: Value, _ count: Int) throws(TemplateError) -> Value? {
        let count = max(count, 0)
        func repeated<T>(_ elements: [T], _ units: Int) throws(TemplateError) -> [T] {
            let (size, overflow) = elements.count.multipliedReportingOverflow(by: count)
            try charge(overflow || size > Int.max / units ? .max : size * units)
            var all: [T] = []
            if !elements.isEmpty { for _ in 0..<count { all += elements } }
            return all
        }
        switch value {
        case .string(let text):
            return .string(Text(try repeated(text.scalars, 1), isMarkup: text.isMarkup))
        case .list(let items): return .list(Items(try repeated(items.values, 16)))
        case .tuple(let items): return .tuple(Items(try repeated(items.values, 16)))
        default: return nil
        }
    }

    // MARK: Numbers

    private func compute(_ a: Int, _ operation: Arithmetic, _ b: Int) throws(TemplateError) -> Value {
        switch operation {
        case .add: return .integer(try exact(a.addingReportingOverflow(b)))
        case .subtract: return .integer(try exact(a.subtractingReportingOverflow(b)))
        case .multiply: return .integer(try exact(a.multipliedReportingOverflow(by: b)))
        case .divide:
            guard a.magnitude <= 1 << 53, b.magnitude <= 1 << 53 else {
                throw fail(.value, "integers above 2^53 cannot be divided exactly")
            }
            return .double(try compute(Double(a), .divide, Double(b)))
        case .floorDivide, .remainder:
            guard b != 0 else { throw fail(.value, "division by zero") }
            let quotient = try exact(a.dividedReportingOverflow(by: b))
            let remainder = b == -1 ? 0 : a % b
            // Python rounds down, and the remainder has the sign of the divisor.
            let isBelow = remainder != 0 && (remainder < 0) != (b < 0)
            return .integer(operation == .remainder ? remainder + (isBelow ? b : 0) : quotient - (isBelow ? 1 : 0))
        case .power:
            guard b >= 0 else { return .double(try compute(Double(a), .power, Double(b))) }
            var result = 1
            var base = a
            var exponent = b
            while exponent > 0 {
                if exponent & 1 == 1 { result = try exact(result.multipliedReportingOverflow(by: base)) }
                exponent >>= 1
                if exponent > 0 { base = try exact(base.multipliedReportingOverflow(by: base)) }
            }
            return .integer(result)
        }
    }

    private func compute(_ a: Double, _ operation: Arithmetic, _ b: Double) throws(TemplateError) -> Double {
        switch operation {
        case .add: return a + b
        case .subtract: return a - b
        case .multiply: return a * b
        case .power: return try power(a, b)
        case .divide, .floorDivide, .remainder: break
        }
        guard b != 0 else { throw fail(.value, "division by zero") }
        if operation == .divide { return a / b }
        var remainder = a.truncatingRemainder(dividingBy: b)
        var quotient = (a - remainder) / b
        if remainder != 0 {
            if (b < 0) != (remainder < 0) {
                remainder += b
                quotient -= 1
            }
        } else {
            remainder = Double(signOf: b, magnitudeOf: 0)
        }
        if operation == .remainder { return remainder }
        guard quotient != 0 else { return Double(signOf: a / b, magnitudeOf: 0) }
        let whole = quotient.rounded(.down)
        return quotient - whole > 0.5 ? whole + 1 : whole
    }

    private func power(_ a: Double, _ b: Double) throws(TemplateError) -> Double {
        guard a != 0 || b >= 0 else { throw fail(.value, "zero to a negative power") }
        guard a >= 0 || b.rounded() == b else { throw fail(.value, "the power of a negative number is complex") }
        let result = pow(a, b)
        guard result.isFinite || !a.isFinite || !b.isFinite else { throw fail(.value, "a power is too large") }
        return result
    }
}

extension Arithmetic {
    fileprivate var sign: String {
        switch self {
        case .add: "+"
        case .subtract: "-"
        case .multiply: "*"
        case .divide: "/"
        case .floorDivide: "//"
        case .remainder: "%"
        case .power: "**"
        }
    }
}
