// SPDX-License-Identifier: Apache-2.0

/// SentencePiece unigram: of all ways to write a text in tokens, the one with the greatest sum of
/// scores (Viterbi).
///
/// Source: Kudo 2018 (arXiv:1804.10959); choices in odd cases follow llama.cpp. A precompiled
/// character map (normalization of compatibility characters) is not applied. Encoding n bytes takes
/// O(n · longest token).
struct Unigram: Sendable {
    private static let unknownPenalty: Float = 10

    private let matcher: PrefixMatcher
    private let scores: [Double]
    private let unknown: Int32
    private let unknownScore: Double
    private let spacePrefix: Bool
    private let removeExtraWhitespace: Bool

    init(
        vocabulary: ByteStringTable, scores: [Float], types: [TokenizerSpec.TokenType],
        unknown: Int32, spacePrefix: Bool,
        removeExtraWhitespace: Bool
    ) {
        var entries: [(string: [UInt8], value: Int32)] = []
        var lowest = Float.greatestFiniteMagnitude
        for (id, type) in types.enumerated() {
            if type == .normal { lowest = min(lowest, scores[id]) }
            guard type == .normal || type == .userDefined || type == .unused else { continue }
            let text = Array(vocabulary.string(id))
            if vocabulary.find(text) == id { entries.append((text, Int32(id))) }
        }
        matcher = PrefixMatcher(entries)
        // A user-defined token costs nothing, which makes it win.
        self.scores = zip(scores, types).map { $1 == .userDefined ? 0 : Double($0) }
        self.unknown = unknown
        unknownScore = Double(lowest - Self.unknownPenalty)
        self.spacePrefix = spacePrefix
        self.removeExtraWhitespace = removeExtraWhitespace
    }

    private struct Step {
        var score = -Double.greatestFiniteMagnitude
        var token: Int32
        var start = 0
    }

    /// Appends the ids of a text. Bytes that are not UTF-8 count as U+FFFD; a run of unknown
    /// characters is one id.
    func encode(_ text: Bytes, into output: inout [Int32]) {
        let normalized =
            UTF8Repair.repaired(text, shortening: false).map {
                $0.withUnsafeBufferPointer(normalize)
            } ?? normalize(text)
        guard !normalized.isEmpty else { return }
        let steps = normalized.withUnsafeBufferPointer(bestSteps)
        let first = output.count
        var end = normalized.count
        var wasUnknown = false
        while end > 0 {
            let step = steps[end]
            let isUnknown = step.token == unknown
            if !(wasUnknown && isUnknown) { output.append(step.token) }
            wasUnknown = isUnknown
            end = step.start
        }
        output[first...].reverse()
    }

    /// For each position, the best way to arrive there.
    private func bestSteps(_ text: Bytes) -> [Step] {
        var steps = Array(repeating: Step(token: unknown), count: text.count + 1)
        steps[0].score = 0
        var position = 0
        while position < text.count {
            let score = steps[position].score
            let length = text[position] < 0x80 ? 1 : text.wide(position).length
            var isKnown = false
            matcher.forEachMatch(in: text, at: position) { id, matched in
                if matched == length { isKnown = true }
                let sum = score + scores[Int(id)]
                if sum > steps[position + matched].score {
                    steps[position + matched] = Step(score: sum, token: id, start: position)
                }
            }
            if !isKnown, score + unknownScore > steps[position + length].score {
                steps[position + length] = Step(
                    score: score + unknownScore, token: unknown, start: position)
            }
            position += length
        }
        return steps
    }

    /// Writes spaces as space marks, one before the first word if so configured, and runs as one if
    /// so configured.
    private func normalize(_ text: Bytes) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count + text.count / 2 + 3)
        var isPrefixed = false
        var inWord = false
        for byte in text {
            if byte == UInt8(ascii: " ") {
                inWord = false
                if !removeExtraWhitespace { out += SentencePieceBPE.spaceMark }
                continue
            }
            if !inWord {
                inWord = true
                if (spacePrefix && !isPrefixed) || removeExtraWhitespace {
                    out += SentencePieceBPE.spaceMark
                    isPrefixed = true
                }
            }
            out.append(byte)
        }
        return out
    }
}
