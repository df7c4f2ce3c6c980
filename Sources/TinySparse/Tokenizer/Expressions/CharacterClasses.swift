// SPDX-License-Identifier: Apache-2.0

/// Code points in classes, so that those of one class are in the same of some sets.
struct CharacterClasses: Sendable {
    /// How many classes there are, at most 255.
    private(set) var count = 0
    /// For each class, the sets that its code points are in, by number.
    private(set) var members: [[Bool]] = []
    /// The class of each code point below the array's size.
    private var low: [UInt8] = []
    /// Stretches of code points, each with a class for every category.
    private var starts: [UInt32] = []
    private var classes: [UInt8] = []

    /// - Throws: `ExpressionError` if the sets make too many classes.
    init(of sets: [CodePointSet]) throws(ExpressionError) {
        starts = Array(Set(sets.flatMap { $0.starts } + [0])).sorted()
        var numbers: [[Bool]: UInt8] = [:]
        for start in starts {
            let masks = sets.map { $0.mask(at: start) }
            for category in UInt32(0)..<32 {
                let isMember = masks.map { $0 >> category & 1 == 1 }
                if numbers[isMember] == nil {
                    guard members.count < 255 else { throw ExpressionError("more than 255 classes of characters") }
                    numbers[isMember] = UInt8(members.count)
                    members.append(isMember)
                }
                classes.append(numbers[isMember] ?? 0)
            }
        }
        count = members.count
        low = (UInt32(0)..<0x800).map { search($0) }
    }

    @inline(__always)
    func ofASCII(_ byte: UInt8) -> Int { Int(low[Int(byte)]) }

    @inline(__always)
    func of(_ code: UInt32) -> Int { code < 0x800 ? Int(low[Int(code)]) : Int(search(code)) }

    private func search(_ code: UInt32) -> UInt8 {
        var (first, end) = (0, starts.count)
        while end - first > 1 {
            let middle = (first + end) / 2
            if starts[middle] <= code { first = middle } else { end = middle }
        }
        return classes[first * 32 + Int(CharacterClass.category(code))]
    }
}
