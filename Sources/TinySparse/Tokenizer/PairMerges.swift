// SPDX-License-Identifier: Apache-2.0

/// The rules of byte-pair encoding and their application: the best ranked merge first, the leftmost first among equals.
///
/// Source: Sennrich et al. 2016 (arXiv:1508.07909). A word of n symbols takes O(n log n).
struct PairMerges: Sendable {
    fileprivate struct Pair: Hashable {
        var left: Int32
        var right: Int32
    }

    private struct Merge {
        var rank: Int32
        var symbol: Int32
    }

    /// What two neighboring symbols merge into, and how early.
    private var rules: [Pair: Merge] = [:]

    init(capacity: Int) { rules.reserveCapacity(capacity) }

    func contains(_ left: Int32, _ right: Int32) -> Bool { rules[Pair(left: left, right: right)] != nil }

    /// Sets the rule of a pair. Lower ranks merge earlier.
    mutating func set(_ left: Int32, _ right: Int32, rank: Int32, symbol: Int32) {
        rules[Pair(left: left, right: right)] = Merge(rank: rank, symbol: symbol)
    }

    /// The two texts of a rule "left right", which is cut at its first space but for one at its start.
    /// - Throws: `malformedMerge`.
    static func sides(
        of rule: [UInt8], rank: Int
    ) throws(TokenizerError) -> (left: ArraySlice<UInt8>, right: ArraySlice<UInt8>) {
        guard let space = rule.dropFirst().firstIndex(of: UInt8(ascii: " ")), space + 1 < rule.count else {
            throw .malformedMerge(rank)
        }
        return (rule[..<space], rule[(space + 1)...])
    }

    /// Memory that encoding reuses from word to word.
    struct Scratch {
        var cache = WordCache()
        var merger = Word()
    }

    /// Merges the symbols of a word as far as the rules allow.
    func apply(to word: inout Word) {
        guard word.symbols.count > 1 else { return }
        for left in 0..<(word.symbols.count - 1) { propose(left, left + 1, &word) }
        while let best = word.heap.pop() {
            let left = Int(best.left)
            let right = Int(best.right)
            // A candidate is stale once either side has been merged otherwise.
            guard word.symbols[left] == best.pair.left, word.symbols[right] == best.pair.right else { continue }
            word.merge(left, right, into: best.symbol)
            if word.previous[left] >= 0 { propose(Int(word.previous[left]), left, &word) }
            if word.next[left] >= 0 { propose(left, Int(word.next[left]), &word) }
        }
    }

    @inline(__always)
    private func propose(_ left: Int, _ right: Int, _ word: inout Word) {
        let pair = Pair(left: word.symbols[left], right: word.symbols[right])
        guard let merge = rules[pair] else { return }
        word.heap.push(
            Candidate(rank: merge.rank, left: Int32(left), right: Int32(right), pair: pair, symbol: merge.symbol))
    }

    fileprivate struct Candidate: Comparable {
        var rank: Int32
        var left: Int32
        var right: Int32
        var pair: Pair
        var symbol: Int32

        static func < (a: Candidate, b: Candidate) -> Bool {
            a.rank != b.rank ? a.rank < b.rank : a.left < b.left
        }
    }

    /// A word in the making: a doubly linked list of symbols in arrays. A symbol merged into its left neighbor is -1.
    struct Word {
        fileprivate var symbols: [Int32] = []
        fileprivate var previous: [Int32] = []
        fileprivate var next: [Int32] = []
        fileprivate var heap = MinHeap<Candidate>()

        /// Empties the word, keeping its memory.
        mutating func removeAll() {
            symbols.removeAll(keepingCapacity: true)
            previous.removeAll(keepingCapacity: true)
            next.removeAll(keepingCapacity: true)
        }

        mutating func append(_ symbol: Int32) {
            if let last = next.indices.last { next[last] = Int32(symbols.count) }
            previous.append(Int32(symbols.count) - 1)
            symbols.append(symbol)
            next.append(-1)
        }

        fileprivate mutating func merge(_ left: Int, _ right: Int, into symbol: Int32) {
            symbols[left] = symbol
            symbols[right] = -1
            next[left] = next[right]
            if next[right] >= 0 { previous[Int(next[right])] = Int32(left) }
        }

        /// Calls `body` with each symbol in order.
        func forEachSymbol(_ body: (Int32) -> Void) {
            var node = symbols.isEmpty ? -1 : 0
            while node >= 0 {
                body(symbols[node])
                node = Int(next[node])
            }
        }
    }
}
