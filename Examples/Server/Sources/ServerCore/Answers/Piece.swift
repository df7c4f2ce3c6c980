// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// What a step adds to one of the choices of an answer; or, all of them joined, the choice.
struct Piece {
    /// Which choice.
    let index: Int
    /// Whole characters of the answer, and of what a thinking model thinks before.
    var content = "", reasoning = ""
    /// The tokens of this piece, if their probabilities were asked for.
    var tokens: [TokenProbability]?
    /// Why the text has ended: `finish_reason`.
    var reason: FinishReason?

    /// Whether there is nothing to send.
    var isEmpty: Bool { content.isEmpty && reasoning.isEmpty && tokens == nil && reason == nil }

    static func += (piece: inout Piece, next: Piece) {
        piece.content += next.content
        piece.reasoning += next.reasoning
        if piece.tokens == nil { piece.tokens = next.tokens } else { piece.tokens! += next.tokens ?? [] }
        piece.reason = next.reason ?? piece.reason
    }
}

/// OpenAI's `finish_reason`.
enum FinishReason: String, Encodable {
    /// The model ended the text, a constraint did, or a stop string.
    case stop
    /// `max_tokens`, or the context is full.
    case length
}

/// A token, as its bytes, and how likely it was.
struct TokenProbability {
    struct Candidate {
        let bytes: [UInt8]
        /// Natural logarithm; what is less likely than OpenAI's least number has that.
        let logProbability: Float

        init(_ candidate: TokenChoice.Candidate, _ tokenizer: Tokenizer) {
            bytes = tokenizer.piece(of: candidate.id)
            logProbability = max(candidate.logProbability, -9999)
        }

        /// The text; bytes that are a part of a character as `bytes:\xE2\x82`.
        var text: String {
            if let text = String(validating: bytes, as: UTF8.self) { return text }
            return "bytes:" + bytes.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
    }

    let chosen: Candidate
    let mostLikely: [Candidate]
    /// Where the token begins in the text of its choice, in code points.
    let offset: Int
}
