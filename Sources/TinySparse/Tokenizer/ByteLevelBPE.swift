// SPDX-License-Identifier: Apache-2.0

/// Byte-level byte-pair encoding (GPT-2): the bytes of a word are merged pair by pair, the best
/// ranked merge first, the leftmost first among equals.
///
/// Source: Sennrich et al. 2016 (arXiv:1508.07909), Radford et al. 2019; choices in odd cases
/// follow llama.cpp. Encoding a word of n bytes takes O(n log n).
struct ByteLevelBPE: Sendable {
    /// All texts that can arise, as bytes: first the 256 single bytes, then tokens and merge
    /// results.
    private var symbols: ByteStringTable
    /// The token of each symbol; -1 for a merge result that is no token.
    private var tokens: [Int32]
    private var merges: PairMerges
    private let rule: PreTokenizer
    /// Whether a word that is a token is encoded as this token, whatever the merges say.
    private let ignoresMerges: Bool

    /// - Throws: `malformedMerge`. Linear in the size of the vocabulary.
    init(tokens texts: [[UInt8]], merges rules: [[UInt8]], rule: PreTokenizer, ignoresMerges: Bool)
        throws(TokenizerError)
    {
        // Ranks and symbols are numbered in 32 bits.
        guard rules.count < Int(Int32.max) / 4 else { throw .malformedMerge(rules.count) }
        self.rule = rule
        self.ignoresMerges = ignoresMerges
        symbols = ByteStringTable(capacity: texts.count + 512)
        tokens = []
        merges = PairMerges(capacity: rules.count)
        for byte in UInt8.min...UInt8.max { _ = symbol([byte]) }
        for (id, text) in texts.enumerated() {
            // A text outside the alphabet is a special token that merging cannot reach.
            guard let bytes = ByteAlphabet.decode(text) else { continue }
            tokens[Int(symbol(bytes))] = Int32(id)
        }
        for (rank, rule) in rules.enumerated() {
            let sides = try PairMerges.sides(of: rule, rank: rank)
            guard let left = ByteAlphabet.decode(sides.left), let right = ByteAlphabet.decode(sides.right) else {
                continue
            }
            let pair = (symbol(left), symbol(right))
            if !merges.contains(pair.0, pair.1) {
                merges.set(pair.0, pair.1, rank: Int32(rank), symbol: symbol(left + right))
            }
        }
    }

    private mutating func symbol(_ bytes: [UInt8]) -> Int32 {
        let (number, isNew) = symbols.insert(bytes)
        if isNew { tokens.append(-1) }
        return Int32(number)
    }

    /// Appends the ids of a text. Bytes that are not UTF-8 count as U+FFFD.
    func encode(_ text: Bytes, into output: inout [Int32], scratch: inout PairMerges.Scratch) {
        if let repaired = UTF8Repair.repaired(text, shortening: true) {
            repaired.withUnsafeBufferPointer {
                encodeWords(of: $0, into: &output, scratch: &scratch)
            }
        } else {
            encodeWords(of: text, into: &output, scratch: &scratch)
        }
    }

    private func encodeWords(of text: Bytes, into output: inout [Int32], scratch: inout PairMerges.Scratch) {
        rule.forEachWord(in: text) { range in
            let word = text.part(range)
            if scratch.cache.append(word, to: &output) { return }
            let start = output.count
            encode(word: word, into: &output, merger: &scratch.merger)
            scratch.cache.insert(word, output[start...])
        }
    }

    private func encode(word: Bytes, into output: inout [Int32], merger: inout PairMerges.Word) {
        if ignoresMerges, let symbol = symbols.find(word), tokens[symbol] >= 0 {
            output.append(tokens[symbol])
            return
        }
        merger.removeAll()
        for byte in word { merger.append(Int32(byte)) }
        merges.apply(to: &merger)
        merger.forEachSymbol { append(symbol: Int($0), to: &output) }
    }

    private func append(symbol: Int, to output: inout [Int32]) {
        if tokens[symbol] >= 0 { return output.append(tokens[symbol]) }
        // As llama.cpp: the bytes of a text that is no token are looked up one by one in the
        // visible alphabet, where only ASCII characters are single bytes; the others are lost.
        for byte in symbols.string(symbol)
        where byte < 0x80 && ByteAlphabet.isSelf(byte) && tokens[Int(byte)] >= 0 {
            output.append(tokens[Int(byte)])
        }
    }
}
