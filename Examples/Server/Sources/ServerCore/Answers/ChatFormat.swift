// SPDX-License-Identifier: Apache-2.0

/// The answers of `/v1/chat/completions`. The names of members are those on the wire.
enum ChatFormat: AnswerFormat {
    static let idPrefix = "chatcmpl-", object = "chat.completion", partObject = "chat.completion.chunk"

    struct Choice: Encodable {
        let index: Int
        let message: Message
        let logprobs: Nullable<LogProbabilities>
        let finish_reason: Nullable<FinishReason>
    }

    struct Delta: Encodable {
        let index: Int
        let delta: Message
        let logprobs: Nullable<LogProbabilities>
        let finish_reason: Nullable<FinishReason>
    }

    /// A message, or a part of one.
    struct Message: Encodable {
        var role: String?
        var content: String?
        /// What a thinking model thought before.
        var reasoning_content: String?
    }

    struct LogProbabilities: Encodable {
        let content: [Token]
    }

    struct Token: Encodable {
        let token: String
        let logprob: Float
        let bytes: [UInt8]
        let top_logprobs: [Candidate]
    }

    struct Candidate: Encodable {
        let token: String
        let logprob: Float
        let bytes: [UInt8]

        init(_ candidate: TokenProbability.Candidate) {
            (token, logprob, bytes) = (candidate.text, candidate.logProbability, candidate.bytes)
        }
    }

    static func choice(_ piece: Piece) -> Choice {
        let reasoning = piece.reasoning.isEmpty ? nil : piece.reasoning
        return Choice(
            index: piece.index,
            message: Message(role: "assistant", content: piece.content, reasoning_content: reasoning),
            logprobs: logProbabilities(piece), finish_reason: Nullable(piece.reason))
    }

    static func delta(_ piece: Piece) -> Delta {
        let content = piece.content.isEmpty ? nil : piece.content
        let reasoning = piece.reasoning.isEmpty ? nil : piece.reasoning
        return Delta(
            index: piece.index, delta: Message(content: content, reasoning_content: reasoning),
            logprobs: logProbabilities(piece), finish_reason: Nullable(piece.reason))
    }

    static func opening(_ index: Int) -> Delta? {
        Delta(
            index: index, delta: Message(role: "assistant", content: ""), logprobs: Nullable(nil),
            finish_reason: Nullable(nil))
    }

    private static func logProbabilities(_ piece: Piece) -> Nullable<LogProbabilities> {
        Nullable(
            piece.tokens.map { tokens in
                LogProbabilities(
                    content: tokens.map {
                        Token(
                            token: $0.chosen.text, logprob: $0.chosen.logProbability, bytes: $0.chosen.bytes,
                            top_logprobs: $0.mostLikely.map(Candidate.init))
                    })
            })
    }
}
