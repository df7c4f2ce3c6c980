// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// How the Hugging Face tokenizers library encodes, as the sections of a `tokenizer.json` say: added tokens are cut
/// out, the rest is normalized, cut into words and encoded, and the post-processor adds special tokens.
struct HuggingFacePipeline: Sendable {
    /// The tokens that the post-processor puts before and after a text.
    let prefix: [Int32]
    let suffix: [Int32]
    let decoding: TokenDecoding
    private let normalizers: [Normalizer]
    private let steps: [PreTokenizerStep]
    private let rawTokens: AddedTokens
    private let normalizedTokens: AddedTokens
    private let model: Model

    private enum Model: Sendable {
        case bpe(RuleBPE)
        case unigram(Unigram)
    }

    /// Longer words are cut, which keeps positions in 32 bits.
    private static let maximumWord = 1 << 28

    /// - Parameters:
    ///   - settings: see `TokenizerSpec.settings`.
    ///   - vocabulary: the texts of all tokens, numbered by id.
    /// - Throws: `TokenizerError` naming what is not supported.
    init(
        settings: JSON, vocabulary: ByteStringTable, types: [TokenizerSpec.TokenType], spec: TokenizerSpec
    ) throws(TokenizerError) {
        normalizers = try Normalizer.steps(settings["normalizer"])
        steps = try PreTokenizerStep.steps(settings["pre_tokenizer"])
        try Self.checkGrowth(normalizers, steps)
        let isByteLevel = steps.contains { if case .byteLevel = $0 { true } else { false } }
        decoding = try TokenDecoding(settings["decoder"], isByteLevel: isByteLevel)
        (prefix, suffix) = try Self.surroundings(settings["post_processor"], count: vocabulary.count)

        var (raw, normalized): ([AddedTokens.Token], [AddedTokens.Token]) = ([], [])
        var (addedOnly, special): (Set<Int32>, Set<Int32>) = ([], [])
        for json in settings["added_tokens"]?.array ?? [] {
            var token = try Self.addedToken(json, vocabulary)
            if json["in_vocab"]?.bool != true { addedOnly.insert(token.id) }
            if token.isSpecial { special.insert(token.id) }
            if token.isNormalized {
                for step in normalizers { token.text = step.apply(to: token.text) }
                normalized.append(token)
            } else {
                raw.append(token)
            }
        }
        rawTokens = AddedTokens(raw)
        normalizedTokens = AddedTokens(normalized)
        if settings["model"]?["type"]?.string == "Unigram" {
            // Neither what is only added nor gaps in the numbers; special tokens were cut out before where they count.
            let gaps = types.indices.filter { types[$0] == .unused }.map { Int32($0) }
            model = .unigram(
                .huggingFace(
                    vocabulary, scores: try spec.checkedScores(), excluded: addedOnly.union(special).union(gaps),
                    unknown: try Self.id(settings["model"]?["unk_id"], count: vocabulary.count, "unknown token"),
                    fallsBackToBytes: settings["model"]?["byte_fallback"]?.bool ?? false))
        } else {
            model = .bpe(
                try RuleBPE(
                    vocabulary: vocabulary, rules: spec.merges, addedOnly: addedOnly, special: special,
                    options: try Self.options(settings["model"], vocabulary)))
        }
    }

    // MARK: - Encoding

    /// Appends the ids of a text, without what the post-processor adds.
    /// - Parameters:
    ///   - trusted: sorted disjoint ranges; only there the texts of special tokens become these tokens.
    ///   - beginsText: whether nothing, not even a special token, is before the text.
    func encode(_ text: Bytes, trusted: [Range<Int>], beginsText: Bool, into ids: inout [Int32]) {
        guard let repaired = UTF8Repair.repaired(text, shortening: true) else {
            return encode(valid: text, trusted, beginsText, &ids)
        }
        // A text that is not UTF-8 comes from outside, and is trusted as a whole or not at all.
        repaired.withUnsafeBufferPointer {
            encode(valid: $0, trusted.isEmpty ? [] : [0..<$0.count], beginsText, &ids)
        }
    }

    private func encode(valid text: Bytes, _ trusted: [Range<Int>], _ beginsText: Bool, _ ids: inout [Int32]) {
        var scratch = PairMerges.Scratch()
        var rest = trusted[...]
        for fragment in rawTokens.fragments(of: text, trusted: trusted) {
            switch fragment {
            case .token(let id): ids.append(id)
            case .text(let range):
                let part = text.part(range)
                rest = rest.drop { $0.upperBound <= range.lowerBound }
                let trusted = rest.prefix { $0.lowerBound < range.upperBound }.compactMap {
                    $0.clamped(to: range).shifted(by: -range.lowerBound)
                }
                encode(part, trusted, beginsText && range.lowerBound == 0, &ids, &scratch)
            }
        }
    }

    /// Encodes a text without raw added tokens.
    private func encode(
        _ text: Bytes, _ trusted: [Range<Int>], _ beginsText: Bool, _ ids: inout [Int32],
        _ scratch: inout PairMerges.Scratch
    ) {
        let normalized = normalized(text)
        normalized.withUnsafeBufferPointer { bytes in
            let trusted = normalizedTokens.hasSpecial ? self.trusted(trusted, text, normalized.count) : []
            for fragment in normalizedTokens.fragments(of: bytes, trusted: trusted) {
                switch fragment {
                case .token(let id): ids.append(id)
                case .text(let range):
                    encodeWords(Array(bytes[range]), beginsText && range.lowerBound == 0, &ids, &scratch)
                }
            }
        }
    }

    private func normalized(_ text: Bytes) -> [UInt8] {
        var bytes = Array(text)
        for step in normalizers { bytes = step.apply(to: bytes) }
        return bytes
    }

    /// Where trusted ranges of a text are in the normalized text.
    private func trusted(_ ranges: [Range<Int>], _ text: Bytes, _ count: Int) -> [Range<Int>] {
        if normalizers.isEmpty { return ranges }
        // What is put before the text stays at its start; if the other steps change each character for itself, a text
        // is as long as its parts, which makes this linear.
        let later = normalizers.filter { if case .prepend = $0 { false } else { true } }
        let isLocal = later.allSatisfy { $0.isLocal }
        var (known, length) = (0, 0)
        func place(_ position: Int) -> Int {
            if position == 0 || position == text.count { return position == 0 ? 0 : count }
            if isLocal {
                let steps = known == 0 ? normalizers : later
                length += steps.reduce(Array(text[known..<position])) { $1.apply(to: $0) }.count
                known = position
                return min(count, length)
            }
            return min(count, normalized(text.part(0..<position)).count)
        }
        return ranges.map {
            let start = place($0.lowerBound)
            return start..<max(start, place($0.upperBound))
        }
    }

    private func encodeWords(
        _ text: [UInt8], _ beginsText: Bool, _ ids: inout [Int32], _ scratch: inout PairMerges.Scratch
    ) {
        var words = PreTokenizerStep.Words(text: text, ranges: [0..<text.count], beginsText: beginsText)
        for step in steps { step.apply(to: &words) }
        words.text.withUnsafeBufferPointer { text in
            for range in words.ranges {
                var start = range.lowerBound
                while start < range.upperBound {
                    var end = min(range.upperBound, start + Self.maximumWord)
                    while end < range.upperBound, text[end] & 0xC0 == 0x80 { end -= 1 }
                    let word = text.part(start..<end)
                    switch model {
                    case .bpe(let model): model.encode(word, into: &ids, scratch: &scratch)
                    case .unigram(let model):
                        if !scratch.cache.append(word, to: &ids) {
                            let first = ids.count
                            model.encode(word, into: &ids)
                            scratch.cache.insert(word, ids[first...])
                        }
                    }
                    start = end
                }
            }
        }
    }
}

extension Range<Int> {
    /// The range moved; nil if it is empty.
    fileprivate func shifted(by distance: Int) -> Range<Int>? {
        isEmpty ? nil : lowerBound + distance..<upperBound + distance
    }
}
