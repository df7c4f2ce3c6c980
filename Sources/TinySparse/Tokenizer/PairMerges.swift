// SPDX-License-Identifier: Apache-2.0

/// The rules of byte-pair encoding and their application: the best ranked merge first, the leftmost first among equals.
///
/// Source: Sennrich et al. 2016 (arXiv:1508.07909). A word of n symbols takes O(n log n).
struct PairMerges: Sendable {
    /// What two neighboring symbols merge into, and how early.
    private var rules: PairTable

    init(capacity: Int) { rules = PairTable(capacity: capacity) }

    func contains(_ left: Int32, _ right: Int32) -> Bool { rules.find(left, right) != nil }

    /// Sets the rule of a pair. Lower ranks merge earlier.
    mutating func set(_ left: Int32, _ right: Int32, rank: Int32, symbol: Int32) {
        rules.set(left, right, PairTable.Merge(rank: rank, symbol: symbol))
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
        for left in word.nodes.indices { propose(left, &word) }
        while let candidate = word.heap.pop() {
            let left = Int(candidate & 0xFFFF_FFFF)
            // A candidate is stale once either side has been merged otherwise.
            guard word.nodes[left].rank == Int32(candidate >> 32) else { continue }
            word.merge(left)
            propose(left, &word)
            if word.nodes[left].previous >= 0 { propose(Int(word.nodes[left].previous), &word) }
        }
    }

    /// Notes the merge of a symbol with the next one, if there is a rule.
    @inline(__always)
    private func propose(_ left: Int, _ word: inout Word) {
        let right = Int(word.nodes[left].next)
        guard right >= 0, let rule = rules.find(word.nodes[left].symbol, word.nodes[right].symbol) else {
            word.nodes[left].rank = Word.noRank
            return
        }
        word.nodes[left].rank = rule.rank
        word.nodes[left].merged = rule.symbol
        word.heap.push(UInt64(rule.rank) << 32 | UInt64(left))
    }

    /// A word in the making: a doubly linked list of symbols in an array.
    struct Word {
        fileprivate static let noRank = Int32(-1)

        fileprivate struct Node {
            var symbol: Int32
            /// The neighbors; -1 at the ends.
            var previous: Int32
            var next: Int32 = -1
            /// The rule that merges the symbol with the next one, and what comes of it. A symbol that has been merged
            /// into its left neighbor has no rule.
            var rank = noRank
            var merged: Int32 = -1
        }

        fileprivate var nodes: [Node] = []
        /// Ranks of possible merges in the upper half, and left sides in the lower.
        fileprivate var heap = MinHeap<UInt64>()

        /// Empties the word, keeping its memory.
        mutating func removeAll() { nodes.removeAll(keepingCapacity: true) }

        mutating func append(_ symbol: Int32) {
            let last = nodes.count - 1
            if last >= 0 { nodes[last].next = Int32(last + 1) }
            nodes.append(Node(symbol: symbol, previous: Int32(last)))
        }

        /// Merges a symbol with the next one.
        @inline(__always)
        fileprivate mutating func merge(_ left: Int) {
            let right = Int(nodes[left].next)
            let next = nodes[right].next
            nodes[right].rank = Self.noRank
            nodes[left].symbol = nodes[left].merged
            nodes[left].next = next
            if next >= 0 { nodes[Int(next)].previous = Int32(left) }
        }

        /// Calls `body` with each symbol in order.
        func forEachSymbol(_ body: (Int32) -> Void) {
            var node = nodes.isEmpty ? -1 : 0
            while node >= 0 {
                body(nodes[node].symbol)
                node = Int(nodes[node].next)
            }
        }
    }
}
