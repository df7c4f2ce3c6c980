// SPDX-License-Identifier: Apache-2.0

/// The answers of `/v1/completions`. The names of members are those on the wire.
enum CompletionFormat: AnswerFormat {
    static let idPrefix = "cmpl-", object = "text_completion", partObject = "text_completion"

    struct Choice: Encodable {
        let index: Int
        let text: String
        let logprobs: Nullable<LogProbabilities>
        let finish_reason: Nullable<FinishReason>
    }

    struct LogProbabilities: Encodable {
        let tokens: [String]
        let token_logprobs: [Float]
        /// Of several tokens with one text the most likely counts.
        let top_logprobs: [[String: Float]]
        /// In code points, from the beginning of the generated text.
        let text_offset: [Int]

        init(_ list: [TokenProbability]) {
            tokens = list.map { $0.chosen.text }
            token_logprobs = list.map { $0.chosen.logProbability }
            // The token that was chosen is always among them.
            top_logprobs = list.map { token in
                let all = (token.mostLikely + [token.chosen]).map { ($0.text, $0.logProbability) }
                return Dictionary(all, uniquingKeysWith: max)
            }
            text_offset = list.map { $0.offset }
        }
    }

    static func choice(_ piece: Piece) -> Choice {
        Choice(
            index: piece.index, text: piece.content, logprobs: Nullable(piece.tokens.map { LogProbabilities($0) }),
            finish_reason: Nullable(piece.reason))
    }

    static func delta(_ piece: Piece) -> Choice { choice(piece) }
    static func opening(_ index: Int) -> Choice? { nil }
}
