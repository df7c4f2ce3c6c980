// SPDX-License-Identifier: Apache-2.0

/// The tokens that go through the layers together: one after another of a sequence, or of several sequences.
struct TokenBlock {
    /// Successive tokens of one sequence.
    struct Run {
        /// The sequence's keys and values, of the tokens before and of these.
        let cache: KVCache
        /// The position of the first token in its sequence.
        let start: Int
        /// Places in the block.
        let places: Range<Int>
    }

    private(set) var tokens: [Int32] = []
    private(set) var runs: [Run] = []

    var count: Int { tokens.count }
    /// One more than the largest position.
    var end: Int { runs.reduce(0) { max($0, $1.start + $1.places.count) } }

    init() {}

    /// Tokens of one sequence.
    init(_ tokens: some Collection<Int32>, at start: Int, _ cache: KVCache) { append(tokens, at: start, cache) }

    /// Adds tokens of a sequence that has none in the block yet.
    mutating func append(_ new: some Collection<Int32>, at start: Int, _ cache: KVCache) {
        runs.append(Run(cache: cache, start: start, places: tokens.count..<tokens.count + new.count))
        tokens += new
    }
}
