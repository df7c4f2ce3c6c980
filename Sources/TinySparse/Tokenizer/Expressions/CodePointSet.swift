// SPDX-License-Identifier: Apache-2.0

/// A set of code points: for each stretch of them the general categories whose characters belong to it, so that
/// `\p{L}` needs no table of letters. All operations are linear in the number of stretches.
struct CodePointSet: Sendable, Equatable {
    /// The bits of all general categories.
    static let allCategories: UInt32 = (1 << 30) - 1
    static let limit: UInt32 = 0x110000

    /// Where stretches begin, ascending from 0; the last ends at `limit`.
    private(set) var starts: [UInt32]
    /// One bit for each category, see `CharacterClass.category`.
    private(set) var masks: [UInt32]

    private init(starts: [UInt32], masks: [UInt32]) {
        self.starts = starts
        self.masks = masks
    }

    static let none = CodePointSet(categories: 0)
    static let all = CodePointSet(categories: allCategories)

    /// The code points of some general categories.
    init(categories: UInt32) { self.init(starts: [0], masks: [categories]) }

    /// The code points from `range.lowerBound` to `range.upperBound`.
    init(_ range: ClosedRange<UInt32>) {
        self = .none
        if range.lowerBound > 0 { starts.append(range.lowerBound) }
        masks = Array(repeating: 0, count: starts.count - 1) + [Self.allCategories]
        guard range.upperBound + 1 < Self.limit else { return }
        starts.append(range.upperBound + 1)
        masks.append(0)
    }

    init(_ code: UInt32) { self.init(code...code) }

    init(_ ranges: [ClosedRange<UInt32>]) {
        self = ranges.reduce(.none) { $0.union(CodePointSet($1)) }
    }

    func union(_ other: CodePointSet) -> CodePointSet { combined(with: other) { $0 | $1 } }
    func intersection(_ other: CodePointSet) -> CodePointSet { combined(with: other) { $0 & $1 } }
    func subtracting(_ other: CodePointSet) -> CodePointSet { combined(with: other) { $0 & ~$1 } }

    var inverted: CodePointSet {
        CodePointSet(starts: starts, masks: masks.map { ~$0 & Self.allCategories })
    }

    private func combined(with other: CodePointSet, _ operation: (UInt32, UInt32) -> UInt32) -> CodePointSet {
        var result = CodePointSet(starts: [], masks: [])
        var (i, j) = (0, 0)
        while i < starts.count || j < other.starts.count {
            let start = min(
                i < starts.count ? starts[i] : Self.limit, j < other.starts.count ? other.starts[j] : Self.limit)
            if i < starts.count, starts[i] == start { i += 1 }
            if j < other.starts.count, other.starts[j] == start { j += 1 }
            let mask = operation(masks[i - 1], other.masks[j - 1])
            guard mask != result.masks.last else { continue }
            result.starts.append(start)
            result.masks.append(mask)
        }
        return result
    }

    /// The categories of the stretch that holds a code point.
    func mask(at code: UInt32) -> UInt32 {
        var (low, high) = (0, starts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= code { low = middle } else { high = middle }
        }
        return masks[low]
    }

    func contains(_ code: UInt32) -> Bool {
        mask(at: code) >> UInt32(CharacterClass.category(code)) & 1 == 1
    }
}
