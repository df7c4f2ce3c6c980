// SPDX-License-Identifier: Apache-2.0

/// Finds all strings of a set that begin at a position of a text.
///
/// The strings lie sorted in one array, and following a text narrows the range of those that share
/// its beginning: a trie without nodes. One step costs O(log n); a position costs at most as many
/// steps as the longest string has bytes.
struct PrefixMatcher: Sendable {
    private let strings: [[UInt8]]
    private let values: [Int32]
    /// The strings whose first byte is b are `roots[b]..<roots[b + 1]`.
    private let roots: [Int]

    /// - Parameter entries: strings and the value that each stands for; empty strings never match.
    init(_ entries: [(string: [UInt8], value: Int32)]) {
        let sorted = entries.filter { !$0.string.isEmpty }.sorted {
            $0.string.lexicographicallyPrecedes($1.string)
        }
        strings = sorted.map { $0.string }
        values = sorted.map { $0.value }
        var counts = Array(repeating: 0, count: 257)
        for string in strings { counts[Int(string[0]) + 1] += 1 }
        for byte in 0..<256 { counts[byte + 1] += counts[byte] }
        roots = counts
    }

    var isEmpty: Bool { strings.isEmpty }

    /// Calls `body` with the value and length of every string that begins at `position`, shortest
    /// first.
    @inline(__always)
    func forEachMatch(
        in text: Bytes, at position: Int, _ body: (_ value: Int32, _ length: Int) -> Void
    ) {
        var low = roots[Int(text[position])]
        var high = roots[Int(text[position]) + 1]
        var depth = 1
        while low < high {
            // The shortest string of a range that shares `depth` bytes sorts first.
            while low < high, strings[low].count == depth {
                body(values[low], depth)
                low += 1
            }
            guard position + depth < text.count else { return }
            let byte = text[position + depth]
            low = bound(low, high) { $0[depth] < byte }
            high = bound(low, high) { $0[depth] <= byte }
            depth += 1
        }
    }

    /// The first index of the range whose string does not satisfy a predicate that holds for a
    /// beginning of the range.
    @inline(__always)
    private func bound(_ low: Int, _ high: Int, _ precedes: ([UInt8]) -> Bool) -> Int {
        var low = low
        var high = high
        while low < high {
            let middle = (low + high) / 2
            if precedes(strings[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
