// SPDX-License-Identifier: Apache-2.0

/// SentencePiece unigram: of all ways to write a text in tokens, the one with the greatest sum of
/// scores (Viterbi).
///
/// Source: Kudo 2018 (arXiv:1804.10959); choices in odd cases follow the implementation at hand. Encoding n bytes takes
/// O(n · longest token).
struct Unigram: Sendable {
    private static let unknownPenalty = 10.0

    private let matcher: PrefixMatcher
    private let scores: [Double]
    private let unknown: Int32
    private let unknownScore: Double
    /// Whether sums are rounded to single precision, as SentencePiece has them.
    private let isSinglePrecision: Bool
    /// The token of each byte of unknown characters; empty if they become the unknown token.
    private let byteTokens: [Int32]

    private init(
        _ vocabulary: ByteStringTable, used: [Int], scores: [Double], unknown: Int32, unknownScore: Double,
        isSinglePrecision: Bool = false, byteTokens: [Int32] = []
    ) {
        let entries = used.map { (string: Array(vocabulary.string($0)), value: Int32($0)) }
        // Of several tokens with one text the last counts.
        matcher = PrefixMatcher(entries.filter { vocabulary.find($0.string) == Int($0.value) })
        self.scores = scores
        self.unknown = unknown
        self.unknownScore = unknownScore
        self.isSinglePrecision = isSinglePrecision
        self.byteTokens = byteTokens
    }

    /// As in llama.cpp.
    static func llamaCpp(
        _ vocabulary: ByteStringTable, scores: [Double], types: [TokenizerSpec.TokenType], unknown: Int32
    ) -> Unigram {
        let normal = types.indices.filter { types[$0] == .normal }
        let lowest = normal.map { scores[$0] }.min() ?? Double(Float.greatestFiniteMagnitude)
        let used = types.indices.filter { [.normal, .userDefined, .unused].contains(types[$0]) }
        // A user-defined token costs nothing, which makes it win.
        return Unigram(
            vocabulary, used: used, scores: zip(scores, types).map { $1 == .userDefined ? 0 : $0 }, unknown: unknown,
            unknownScore: Double(Float(lowest) - Float(unknownPenalty)))
    }

    /// As in the Hugging Face tokenizers library.
    /// - Parameter excluded: tokens that no text becomes.
    static func huggingFace(
        _ vocabulary: ByteStringTable, scores: [Double], excluded: Set<Int32>, unknown: Int32, fallsBackToBytes: Bool
    ) -> Unigram {
        let used = scores.indices.filter { !excluded.contains(Int32($0)) }
        return Unigram(
            vocabulary, used: used, scores: scores, unknown: unknown,
            unknownScore: (scores.min() ?? 0) - unknownPenalty,
            byteTokens: fallsBackToBytes ? self.byteTokens(vocabulary) : [])
    }

    /// As in SentencePiece.
    static func sentencePiece(
        _ vocabulary: ByteStringTable, scores: [Double], types: [TokenizerSpec.TokenType], unknown: Int32
    ) -> Unigram {
        let normal = types.indices.filter { types[$0] == .normal }.map { scores[$0] }
        let highest = Float(normal.max() ?? 0)
        let weighed = types.indices.map { id in
            // The longer, the better: a user-defined token always wins.
            types[id] == .userDefined ? Double(Float(vocabulary.string(id).count) * highest - 0.1) : scores[id]
        }
        return Unigram(
            vocabulary, used: types.indices.filter { types[$0] == .normal || types[$0] == .userDefined },
            scores: weighed, unknown: unknown,
            unknownScore: Double(Float(normal.min() ?? 0) - Float(unknownPenalty)), isSinglePrecision: true,
            byteTokens: types.contains(.byte) ? self.byteTokens(vocabulary) : [])
    }

    /// The tokens `<0x00>` to `<0xFF>`; none if one is missing.
    static func byteTokens(_ vocabulary: ByteStringTable) -> [Int32] {
        let hex = Array("0123456789ABCDEF".utf8)
        let found = (0..<256).compactMap {
            vocabulary.find(Array("<0x".utf8) + [hex[$0 >> 4], hex[$0 & 15], UInt8(ascii: ">")])
        }
        return found.count == 256 ? found.map { Int32($0) } : []
    }

    private struct Step {
        var score = -Double.greatestFiniteMagnitude
        var token: Int32
        var start = 0
    }

    /// Appends the ids of a text that has been normalized; a run of unknown characters is one id.
    func encode(_ text: Bytes, into output: inout [Int32]) {
        guard !text.isEmpty else { return }
        let steps = bestSteps(text)
        let first = output.count
        var end = text.count
        while end > 0 {
            var start = steps[end].start
            if steps[end].token == unknown {
                while start > 0, steps[start].token == unknown { start = steps[start].start }
                appendUnknown(text, start..<end, &output)
            } else {
                output.append(steps[end].token)
            }
            end = start
        }
        output[first...].reverse()
    }

    /// Appends the ids of unknown characters, the last first.
    private func appendUnknown(_ text: Bytes, _ range: Range<Int>, _ output: inout [Int32]) {
        guard !byteTokens.isEmpty else { return output.append(unknown) }
        for position in range.reversed() { output.append(byteTokens[Int(text[position])]) }
    }

    /// For each position, the best way to arrive there.
    private func bestSteps(_ text: Bytes) -> [Step] {
        var steps = Array(repeating: Step(token: unknown), count: text.count + 1)
        steps[0].score = 0
        func rounded(_ sum: Double) -> Double { isSinglePrecision ? Double(Float(sum)) : sum }
        var position = 0
        while position < text.count {
            let score = steps[position].score
            let length = text.characterLength(position)
            var isKnown = false
            matcher.forEachMatch(in: text, at: position) { id, matched in
                if matched == length { isKnown = true }
                let sum = rounded(score + scores[Int(id)])
                if sum > steps[position + matched].score {
                    steps[position + matched] = Step(score: sum, token: id, start: position)
                }
            }
            let sum = rounded(score + unknownScore)
            if !isKnown, sum > steps[position + length].score {
                steps[position + length] = Step(score: sum, token: unknown, start: position)
            }
            position += length
        }
        return steps
    }
}
