// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Byte-pair encoding as the Hugging Face tokenizers library does it: the characters of a word are tokens, and merge by
/// rules on pairs of tokens.
struct RuleBPE: Sendable {
    /// What `model` of a `tokenizer.json` says besides the vocabulary.
    struct Options: Sendable {
        /// The token for characters that are none; without it they are lost.
        var unknown: Int32?
        /// Whether neighboring unknown characters are one token.
        var fusesUnknown = false
        /// Whether a character that is no token becomes the tokens of its bytes, `<0x0A>`, if there are such.
        var fallsBackToBytes = false
        /// Whether a word that is a token is encoded as this token, whatever the rules say.
        var ignoresMerges = false
    }

    private let vocabulary: ByteStringTable
    /// The tokens that are no more than added ones; no word becomes them.
    private let addedOnly: Set<Int32>
    /// The tokens that only trusted text becomes.
    private let special: Set<Int32>
    private var merges: PairMerges
    private let options: Options
    /// The token of each byte; empty if one is missing or none is wanted.
    private var byteTokens: [Int32] = []
    /// The last bytes of what rules join with a space mark. After any other byte a word is cut at a space mark, so that
    /// lines without words are cached in parts. Nil if marks are no tokens, or words can be tokens whatever the rules.
    private var joinsMark: [Bool]?

    /// - Parameters:
    ///   - vocabulary: the texts of all tokens, numbered by id.
    ///   - rules: "left right", best first.
    /// - Throws: `malformedMerge`, or `malformedFile` for a rule whose tokens do not exist.
    init(
        vocabulary: ByteStringTable, rules: [[UInt8]], addedOnly: Set<Int32>, special: Set<Int32>, options: Options
    ) throws(TokenizerError) {
        guard rules.count < Int(Int32.max) / 4 else { throw .malformedMerge(rules.count) }
        self.vocabulary = vocabulary
        self.addedOnly = addedOnly
        self.special = special
        self.options = options
        merges = PairMerges(capacity: rules.count)
        var beforeMarks: [[UInt8]] = []
        for (rank, rule) in rules.enumerated() {
            let sides = try PairMerges.sides(of: rule, rank: rank)
            let (left, right) = (Array(sides.left), Array(sides.right))
            if right.starts(with: SentencePieceBPE.spaceMark) { beforeMarks.append(left) }
            // Of two rules for a pair the later counts.
            merges.set(
                try token(left, rank), try token(right, rank), rank: Int32(rank),
                symbol: try token(left + right, rank))
        }
        if options.fallsBackToBytes {
            let hex = Array("0123456789ABCDEF".utf8)
            byteTokens = (0..<256).map {
                find(Array("<0x".utf8) + [hex[$0 >> 4], hex[$0 & 15], UInt8(ascii: ">")]) ?? -1
            }
        }
        joinsMark = marksJoined(with: beforeMarks)
    }

    /// - Parameter lefts: the left sides of the rules whose right side begins with a space mark.
    private func marksJoined(with lefts: [[UInt8]]) -> [Bool]? {
        guard !options.ignoresMerges, find(SentencePieceBPE.spaceMark) != nil else { return nil }
        let unknown = options.unknown.map { Array(vocabulary.string(Int($0))) }
        var joined = Array(repeating: false, count: 256)
        for left in lefts {
            joined[Int(left[left.count - 1])] = true
            // The unknown token and byte tokens stand for something else than their texts.
            if let unknown, left.suffix(unknown.count).elementsEqual(unknown) { return nil }
            if let id = find(Array(left.suffix(6))), let byte = byteTokens.firstIndex(of: id) { joined[byte] = true }
        }
        return joined
    }

    private func token(_ text: [UInt8], _ rule: Int) throws(TokenizerError) -> Int32 {
        guard let id = find(text) else {
            let name = printable(String(decoding: text, as: UTF8.self))
            throw .malformedFile(
                "merge rule \(rule) names '\(name)', which is not in the vocabulary; the file is damaged")
        }
        return id
    }

    private func find(_ text: [UInt8]) -> Int32? { text.withUnsafeBufferPointer { find($0) } }

    @inline(__always)
    private func find(_ text: Bytes) -> Int32? {
        guard let number = vocabulary.find(text), !addedOnly.contains(Int32(number)) else { return nil }
        return Int32(number)
    }

    /// Appends the ids of a word that has passed `UTF8Repair`.
    func encode(_ word: Bytes, into output: inout [Int32], scratch: inout PairMerges.Scratch) {
        var start = 0
        while start < word.count {
            let part = word.part(start..<partEnd(word, start))
            start += part.count
            if scratch.cache.append(part, to: &output) { continue }
            let first = output.count
            encode(word: part, into: &output, merger: &scratch.merger)
            scratch.cache.insert(part, output[first...])
        }
    }

    /// Where the first space mark after `start` is that no rule joins with what is before it; else the word's end.
    private func partEnd(_ word: Bytes, _ start: Int) -> Int {
        guard let joinsMark else { return word.count }
        var position = start + 1
        while position < word.count {
            if SentencePieceBPE.isMark(word, position), !joinsMark[Int(word[position - 1])] { return position }
            position += 1
        }
        return word.count
    }

    private func encode(word: Bytes, into output: inout [Int32], merger: inout PairMerges.Word) {
        if options.ignoresMerges, let id = find(word), !special.contains(id) { return output.append(id) }
        merger.removeAll()
        // Written late, so that a run of them can become one. Bytes do not interrupt it, as in the library.
        var unknown: Int32?
        word.forEachCharacter(in: 0..<word.count) { _, range in
            if let id = find(word.part(range)) {
                if let id = unknown { merger.append(id) }
                unknown = nil
                merger.append(id)
            } else if !byteTokens.isEmpty, range.allSatisfy({ byteTokens[Int(word[$0])] >= 0 }) {
                for position in range { merger.append(byteTokens[Int(word[position])]) }
            } else if let id = options.unknown {
                if unknown != nil, !options.fusesUnknown { merger.append(id) }
                unknown = id
            }
        }
        if let unknown { merger.append(unknown) }
        merges.apply(to: &merger)
        merger.forEachSymbol { output.append($0) }
    }
}
