// SPDX-License-Identifier: Apache-2.0

/// Parts the text of a thinking model, as it comes, into what it thinks and what it answers.
///
/// Thinking is what stands between `<think>` at the very beginning and `</think>`, as the models of Qwen, DeepSeek and Hugging
/// Face (SmolLM3) write it. Where the prompt ends with `<think>` the text begins inside. White space at the borders belongs to
/// neither part. Without `<think>` all is answer.
public struct ThinkingSplitter: Sendable {
    /// Parts of a text, the thinking before the answer.
    public struct Parts: Sendable, Equatable {
        public var thinking: String
        public var answer: String

        public init(thinking: String = "", answer: String = "") {
            self.thinking = thinking
            self.answer = answer
        }
    }

    private enum State { case beginning, thinking, beforeAnswer, answer }

    private static let open = "<think>", close = "</think>"
    private var state: State
    /// What may be the beginning of a tag, and white space that may be at a border.
    private var held = ""

    /// - Parameter prompt: what the text follows; its end decides whether the text begins with thinking.
    public init(after prompt: String) {
        let end = prompt.reversed().drop { $0.isWhitespace }.prefix(Self.open.count)
        state = end.elementsEqual(Self.open.reversed()) ? .thinking : .beginning
    }

    /// The parts of the next piece, as far as they are certain. O(piece).
    public mutating func feed(_ piece: String) -> Parts {
        held += piece
        var parts = Parts()
        if state == .beginning { begin() }
        if state == .thinking { parts.thinking = think() }
        if state == .beforeAnswer {
            held = String(held.drop { $0.isWhitespace })
            if !held.isEmpty { state = .answer }
        }
        if state == .answer {
            parts.answer = held
            held = ""
        }
        return parts
    }

    /// What is left when the text has ended.
    public mutating func finish() -> Parts {
        defer { held = "" }
        return state == .thinking ? Parts(thinking: held) : state == .beforeAnswer ? Parts() : Parts(answer: held)
    }

    private mutating func begin() {
        let text = held.drop { $0.isWhitespace }
        if text.hasPrefix(Self.open) {
            state = .thinking
            held = String(text.dropFirst(Self.open.count))
        } else if !Self.open.hasPrefix(text) {
            state = .answer
        }
    }

    /// Takes out of what is held the thinking that is certain.
    private mutating func think() -> String {
        let bytes = Array(held.utf8), close = Array(Self.close.utf8)
        var at = 0
        while at < bytes.count, !close.starts(with: bytes[at...].prefix(close.count)) { at += 1 }
        let rest = bytes[at...]
        if rest.count >= close.count {
            state = .beforeAnswer
            held = String(decoding: rest.dropFirst(close.count), as: UTF8.self)
        } else {
            held = String(decoding: rest, as: UTF8.self)
        }
        return String(decoding: bytes[..<at], as: UTF8.self)
    }
}
