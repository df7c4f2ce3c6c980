// SPDX-License-Identifier: Apache-2.0

/// One message of a conversation.
public struct ChatMessage: Sendable, Equatable {
    /// "system", "user" or "assistant".
    public var role: String
    /// The text of the message.
    public var content: String

    /// A message of `system`, `user` or `assistant`.
    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// How a conversation is written as the text that a model was trained on.
///
/// A model file carries a Jinja program for this. It is not run, but recognized by its markers, as
/// llama.cpp does (`llm_chat_detect_template`, `llm_chat_apply_template`); the text it would write
/// is written by hand.
public enum ChatTemplate: Sendable, Equatable {
    /// `<|im_start|>role\ncontent<|im_end|>`; the default system message is added when a
    /// conversation has none.
    case chatML(defaultSystem: String?)
    /// `[INST] <<SYS>>\nsystem\n<</SYS>>\n\nuser [/INST] assistant</s>`
    case llama2
    /// `<|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>`
    case llama3
    /// `<|role|>\ncontent` and an end marker: Zephyr, TinyLlama.
    case zephyr(end: String)
    /// The contents, one after the other, for models that know no roles.
    case plain

    /// A piece of rendered text.
    struct Segment: Equatable {
        var text: String
        /// Whether the text is the template's own; only there do control tokens count.
        var isTemplate: Bool
    }

    /// Whether a Jinja template writes BOS.
    static func writesBOS(jinja source: String) -> Bool {
        source.containsBytes("bos_token") || source.containsBytes("<|begin_of_text|>")
    }

    /// Whether templates of this kind write BOS before a conversation, which `segments` leaves to the tokenizer.
    var beginsWithBOS: Bool {
        switch self {
        case .llama2, .llama3: true
        case .chatML, .zephyr, .plain: false
        }
    }

    /// Recognizes a template by its Jinja source; nil if it is none of these.
    public init?(jinja source: String) {
        let has = { (marker: String) in source.containsBytes(marker) }
        if has("<|im_start|>") {
            guard !has("<|im_sep|>"), !has("<end_of_utterance>") else { return nil }
            self = .chatML(defaultSystem: Self.defaultSystem(chatML: source))
        } else if has("[INST]") {
            // Mistral's templates share the marker but not the system message.
            guard has("<<SYS>>") else { return nil }
            self = .llama2
        } else if has("<|user|>"), has("<|assistant|>"), !has("<|end|>"), !has("[gMASK]") {
            guard has("<|endoftext|>") || has("</s>") || has("eos_token") else { return nil }
            self = .zephyr(end: has("<|endoftext|>") ? "<|endoftext|>" : "</s>")
        } else if has("<|start_header_id|>"), has("<|end_header_id|>") {
            self = .llama3
        } else {
            return nil
        }
    }

    /// The text of a conversation.
    /// - Parameter addGenerationPrompt: whether to end with the beginning of an assistant's
    ///   message.
    public func render(messages: [ChatMessage], addGenerationPrompt: Bool = true) -> String {
        segments(messages: messages, addGenerationPrompt: addGenerationPrompt).map { $0.text }.joined()
    }

    /// The text of a conversation, told apart into the template's own and that of the messages.
    func segments(messages: [ChatMessage], addGenerationPrompt: Bool) -> [Segment] {
        var out: [Segment] = []
        func own(_ text: String) { out.append(Segment(text: text, isTemplate: true)) }
        func given(_ text: String) { out.append(Segment(text: text, isTemplate: false)) }
        // A known role may be part of a control token's text; an unknown one is text that somebody
        // supplied.
        func role(of message: ChatMessage) {
            out.append(
                Segment(
                    text: message.role,
                    isTemplate: ["system", "user", "assistant"].contains(message.role)))
        }

        switch self {
        case .chatML(let defaultSystem):
            if let defaultSystem, messages.first?.role != "system" {
                own("<|im_start|>system\n\(defaultSystem)<|im_end|>\n")
            }
            for message in messages {
                own("<|im_start|>")
                role(of: message)
                own("\n")
                given(message.content)
                own("<|im_end|>\n")
            }
            if addGenerationPrompt { own("<|im_start|>assistant\n") }
        case .llama2:
            // BOS before the first turn is the tokenizer's business, between turns it is the
            // template's.
            var isInsideTurn = true
            own("[INST] ")
            for message in messages {
                if !isInsideTurn {
                    isInsideTurn = true
                    own("<s>[INST] ")
                }
                switch message.role {
                case "system":
                    own("<<SYS>>\n")
                    given(message.content.trimmed)
                    own("\n<</SYS>>\n\n")
                case "user":
                    given(message.content.trimmed)
                    own(" [/INST]")
                default:
                    own(" ")
                    given(message.content.trimmed)
                    own(" </s>")
                    isInsideTurn = false
                }
            }
        case .llama3:
            for message in messages {
                own("<|start_header_id|>")
                role(of: message)
                own("<|end_header_id|>\n\n")
                given(message.content.trimmed)
                own("<|eot_id|>")
            }
            if addGenerationPrompt { own("<|start_header_id|>assistant<|end_header_id|>\n\n") }
        case .zephyr(let end):
            for message in messages {
                own("<|")
                role(of: message)
                own("|>\n")
                given(message.content)
                own("\(end)\n")
            }
            if addGenerationPrompt { own("<|assistant|>\n") }
        case .plain:
            for message in messages { given(message.content) }
        }
        return out
    }

    /// The system message that a ChatML template adds of itself: a literal text between the
    /// markers, guarded by a test of the first message's role.
    private static func defaultSystem(chatML source: String) -> String? {
        guard source.containsBytes("!= 'system'") || source.containsBytes("!= \"system\"") else {
            return nil
        }
        // In a string literal of the Jinja source a line break may be written "\n".
        for opening in ["<|im_start|>system\n", "<|im_start|>system\\n"] {
            guard let start = source.rangeOfBytes(opening)?.upperBound,
                let end = source[start...].rangeOfBytes("<|im_end|>")?.lowerBound
            else { continue }
            let text = source[start..<end]
            // Not a literal, but an expression that inserts the caller's message.
            if text.utf8.contains(where: { "'\"{}".utf8.contains($0) }) { continue }
            return String(text)
        }
        return nil
    }
}

extension StringProtocol {
    /// The first place where the bytes of `other` occur.
    fileprivate func rangeOfBytes(_ other: String) -> Range<String.Index>? {
        let text = utf8
        let pattern = Array(other.utf8)
        var start = text.startIndex
        while start < text.endIndex {
            if text[start...].starts(with: pattern) {
                return start..<text.index(start, offsetBy: pattern.count)
            }
            start = text.index(after: start)
        }
        return nil
    }

    fileprivate func containsBytes(_ other: String) -> Bool { rangeOfBytes(other) != nil }
}

extension String {
    /// The text without ASCII white space at its ends.
    fileprivate var trimmed: String {
        let isSpace = { (byte: UInt8) in byte == 0x20 || 0x09...0x0D ~= byte }
        var bytes = Array(utf8)[...]
        while let first = bytes.first, isSpace(first) { bytes = bytes.dropFirst() }
        while let last = bytes.last, isSpace(last) { bytes = bytes.dropLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
