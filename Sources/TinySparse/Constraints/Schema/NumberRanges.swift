// SPDX-License-Identifier: Apache-2.0

/// Decimal numbers between bounds, as patterns of digits.
enum NumberRanges {
    /// The largest whole number that is written.
    static let largest: Int64 = 9_999_999_999_999_999
    /// Digits after the point of numbers that have a bound. With these, and bounds below 10^9, no number that is within
    /// exclusive bounds is rounded to a bound where it is read as a double.
    private static let fractionDigits = 6
    static let largestExclusive: Int64 = 999_999_999

    /// A bound of numbers.
    struct Bound {
        var value: Int64
        var isExclusive: Bool
    }

    /// Whole numbers from `low` to `high`, which are at most `largest`. O(digits^2).
    static func integers(_ low: Int64, _ high: Int64) -> Pattern {
        guard low <= high else { return .alternatives([]) }
        var parts: [Pattern] = []
        if low < 0 { parts.append(.sequence([.text("-"), naturals(max(-high, 1), -low)])) }
        if high >= 0 { parts.append(naturals(max(low, 0), high)) }
        return .alternatives(parts)
    }

    /// The same without a sign: split by the number of digits.
    private static func naturals(_ low: Int64, _ high: Int64) -> Pattern {
        var parts: [Pattern] = []
        var (first, power) = (low, Int64(10))
        while first <= high {
            if first < power {
                let last = min(high, power - 1)
                parts.append(sameLength(digits(first)[...], digits(last)[...]))
                first = last + 1
            }
            power *= 10
        }
        return .alternatives(parts)
    }

    private static func digits(_ number: Int64) -> [UInt8] { Array("\(number)".utf8) }

    /// Numbers between two of as many digits.
    private static func sameLength(_ low: ArraySlice<UInt8>, _ high: ArraySlice<UInt8>) -> Pattern {
        guard let (a, b) = low.first.flatMap({ a in high.first.map { (a, $0) } }) else { return .empty }
        let (lowRest, highRest) = (low.dropFirst(), high.dropFirst())
        if a == b { return .sequence([.bytes([a]), sameLength(lowRest, highRest)]) }
        let zero = UInt8(ascii: "0"), nine = UInt8(ascii: "9"), count = lowRest.count
        var parts: [Pattern] = []
        var (first, last) = (a, b)
        if lowRest.contains(where: { $0 != zero }) {
            parts.append(.sequence([.bytes([a]), sameLength(lowRest, Array(repeating: nine, count: count)[...])]))
            first += 1
        }
        if highRest.contains(where: { $0 != nine }) {
            parts.append(.sequence([.bytes([b]), sameLength(Array(repeating: zero, count: count)[...], highRest)]))
            last -= 1
        }
        if first <= last {
            let lead = Pattern.scalar(ScalarSet([UInt32(first)...UInt32(last)]))
            parts.append(.sequence([lead, .repeated(.digit, minimum: count, maximum: count)]))
        }
        return .alternatives(parts)
    }

    // MARK: - Fractions

    /// Numbers with and without a fraction between whole bounds; nil for none.
    static func numbers(_ low: Bound?, _ high: Bound?) -> Pattern {
        var parts: [Pattern] = []
        if low.map({ $0.value < 0 }) ?? true {
            let least = high.flatMap { $0.value <= 0 ? Bound(value: -$0.value, isExclusive: $0.isExclusive) : nil }
            let most = low.map { Bound(value: -$0.value, isExclusive: $0.isExclusive) }
            parts.append(.sequence([.text("-"), magnitudes(least, most)]))
        }
        if high.map({ $0.value >= 0 }) ?? true {
            parts.append(magnitudes(low.flatMap { $0.value >= 0 ? $0 : nil }, high))
        }
        return .alternatives(parts)
    }

    /// Numbers without a sign.
    /// - Parameter low: nil for 0, inclusive.
    private static func magnitudes(_ low: Bound?, _ high: Bound?) -> Pattern {
        let low = low ?? Bound(value: 0, isExclusive: false)
        let fraction = Pattern.sequence([.text("."), .repeated(.digit, minimum: 1, maximum: fractionDigits)])
        let zeros = Pattern.sequence([.text("."), .repeated(.text("0"), minimum: 1, maximum: fractionDigits)])
        let notZero = Pattern.sequence([
            .text("."),
            .alternatives(
                (0..<fractionDigits).map { zeros in
                    .sequence([
                        .repeated(.text("0"), minimum: zeros, maximum: zeros), .scalar(ScalarSet([0x31...0x39])),
                        .repeated(.digit, minimum: 0, maximum: fractionDigits - 1 - zeros),
                    ])
                }),
        ])
        // Whole parts after which any fraction can stand.
        let (first, last) = (low.isExclusive ? low.value + 1 : low.value, high.map { $0.value - 1 } ?? largest)
        var parts = [Pattern.sequence([integers(first, last), .optional(fraction)])]
        if low.isExclusive, low.value <= last { parts.append(.sequence([integers(low.value, low.value), notZero])) }
        if let high, !high.isExclusive, high.value >= first {
            parts.append(.sequence([integers(high.value, high.value), .optional(zeros)]))
        }
        return .alternatives(parts)
    }
}
