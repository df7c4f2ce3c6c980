// SPDX-License-Identifier: Apache-2.0

/// A set of Unicode scalars: ascending ranges that do not touch. Surrogates are in none.
package struct ScalarSet: Hashable, Sendable {
    package private(set) var ranges: [ClosedRange<UInt32>]

    static let none = ScalarSet([])
    static let all = ScalarSet([0...0x10FFFF])

    /// Ranges in any order, which may overlap. O(n log n).
    package init(_ ranges: [ClosedRange<UInt32>]) {
        self.ranges = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            add(range, within: 0...0xD7FF)
            add(range, within: 0xE000...0x10FFFF)
        }
    }

    /// Adds the part of a range that is within another; it begins at or after the last one.
    private mutating func add(_ range: ClosedRange<UInt32>, within valid: ClosedRange<UInt32>) {
        guard range.overlaps(valid) else { return }
        let part = range.clamped(to: valid)
        guard let last = ranges.last, part.lowerBound <= last.upperBound + 1, last.lowerBound >= valid.lowerBound else {
            return ranges.append(part)
        }
        ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, part.upperBound)
    }

    init(_ code: UInt32) { self.init([code...code]) }

    /// The scalars of a text.
    init(of text: String) { self.init(text.unicodeScalars.map { $0.value...$0.value }) }

    var isEmpty: Bool { ranges.isEmpty }

    package func contains(_ code: UInt32) -> Bool { ranges.contains { $0.contains(code) } }

    package func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    package func subtracting(_ other: ScalarSet) -> ScalarSet { other.inverted.intersection(self) }

    package var inverted: ScalarSet {
        var gaps: [ClosedRange<UInt32>] = []
        var start: UInt32 = 0
        for range in ranges {
            if range.lowerBound > start { gaps.append(start...range.lowerBound - 1) }
            start = range.upperBound + 1
        }
        if start <= 0x10FFFF { gaps.append(start...0x10FFFF) }
        return ScalarSet(gaps)
    }

    package func intersection(_ other: ScalarSet) -> ScalarSet {
        var common: [ClosedRange<UInt32>] = []
        var (i, j) = (0, 0)
        while i < ranges.count, j < other.ranges.count {
            let (a, b) = (ranges[i], other.ranges[j])
            if a.overlaps(b) { common.append(a.clamped(to: b)) }
            if a.upperBound < b.upperBound { i += 1 } else { j += 1 }
        }
        return ScalarSet(common)
    }
}

// MARK: - UTF-8

/// The ranges that the bytes of a character can have, one after the other: one to four.
package typealias ByteRanges = [ClosedRange<UInt8>]

extension ScalarSet {
    /// The UTF-8 of all characters of the set, as sequences of byte ranges, ascending. The first ranges of two sequences
    /// are equal or disjoint.
    package var utf8: [ByteRanges] {
        var result: [ByteRanges] = []
        for range in ranges {
            // The lengths of UTF-8 change here.
            for part: ClosedRange<UInt32> in [0...0x7F, 0x80...0x7FF, 0x800...0xFFFF, 0x1_0000...0x10_FFFF]
            where part.overlaps(range) {
                Self.split(range.clamped(to: part), tail: Self.tailLength(part.lowerBound), &result)
            }
        }
        return result
    }

    private static func tailLength(_ code: UInt32) -> UInt32 {
        code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x1_0000 ? 2 : 3
    }

    /// Splits a range of characters of one length until each of its bytes varies on its own.
    private static func split(_ range: ClosedRange<UInt32>, tail: UInt32, _ result: inout [ByteRanges]) {
        for level in stride(from: tail, to: 0, by: -1) {
            // Where the bytes before the last `level` ones differ, those have to take all their values.
            let mask = UInt32(1) << (6 * level) - 1
            guard range.lowerBound & ~mask != range.upperBound & ~mask else { continue }
            if range.lowerBound & mask != 0 {
                split(range.lowerBound...range.lowerBound | mask, tail: tail, &result)
                return split((range.lowerBound | mask) + 1...range.upperBound, tail: tail, &result)
            }
            if range.upperBound & mask != mask {
                split(range.lowerBound...(range.upperBound & ~mask) - 1, tail: tail, &result)
                return split(range.upperBound & ~mask...range.upperBound, tail: tail, &result)
            }
        }
        let low = encoded(range.lowerBound, tail: tail), high = encoded(range.upperBound, tail: tail)
        result.append(zip(low, high).map { $0...$1 })
    }

    private static func encoded(_ code: UInt32, tail: UInt32) -> [UInt8] {
        guard tail > 0 else { return [UInt8(code)] }
        let lead: UInt32 = [0, 0xC0, 0xE0, 0xF0][Int(tail)]
        let rest = (0..<tail).reversed().map { UInt8(0x80 | code >> (6 * $0) & 0x3F) }
        return [UInt8(lead | code >> (6 * tail))] + rest
    }
}
