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

    private static let open = Array("<think>".utf8), close = Array("</think>".utf8)
    private var state: State
    /// Bytes that may be the beginning of a tag, and white space that may be at a border.
    private var held: [UInt8] = []

    /// - Parameter prompt: what the text follows; its end decides whether the text begins with thinking.
    public init(after prompt: String) {
        var end = Array(prompt.utf8)
        while let last = end.last, Self.isSpace(last) { end.removeLast() }
        state = end.suffix(Self.open.count).elementsEqual(Self.open) ? .thinking : .beginning
    }

    /// The parts of the next piece, as far as they are certain. O(piece).
    /// - Parameter piece: whole characters.
    public mutating func feed(_ piece: String) -> Parts {
        held += piece.utf8
        var parts = Parts()
        if state == .beginning { begin() }
        if state == .thinking { parts.thinking = think() }
        if state == .beforeAnswer {
            held.removeFirst(held.prefix { Self.isSpace($0) }.count)
            if !held.isEmpty { state = .answer }
        }
        if state == .answer { parts.answer = take(held.count) }
        return parts
    }

    /// What is left when the text has ended.
    public mutating func finish() -> Parts {
        let rest = take(held.count)
        return state == .thinking ? Parts(thinking: rest) : state == .beforeAnswer ? Parts() : Parts(answer: rest)
    }

    private mutating func begin() {
        let spaces = held.prefix { Self.isSpace($0) }.count, text = held[spaces...]
        if text.starts(with: Self.open) {
            state = .thinking
            held.removeFirst(spaces + Self.open.count)
        } else if !Self.open.starts(with: text) {
            state = .answer
        }
    }

    /// Takes out of what is held the thinking that is certain.
    private mutating func think() -> String {
        var count = 0
        while count < held.count, !Self.close.starts(with: held[count...].prefix(Self.close.count)) { count += 1 }
        let thinking = take(count)
        if held.count >= Self.close.count {
            held.removeFirst(Self.close.count)
            state = .beforeAnswer
        }
        return thinking
    }

    /// The first bytes of what is held.
    private mutating func take(_ count: Int) -> String {
        defer { held.removeFirst(count) }
        return String(decoding: held.prefix(count), as: UTF8.self)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }
}
