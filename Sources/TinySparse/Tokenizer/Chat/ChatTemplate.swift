// SPDX-License-Identifier: Apache-2.0

import TinyTemplates

/// How a conversation is written as the text that a model was trained on: a program in Jinja's language, which model files
/// carry. docs/TEMPLATES.md says what of the language there is.
public struct ChatTemplate: Sendable {
    private let template: Template

    /// Parses a template. Linear in the size of its source.
    /// - Throws: `TemplateError`.
    public init(jinja source: String) throws(TemplateError) { template = try Template(source) }

    /// The templates for models that carry none, by name: those of well-known families, and "plain", which writes the
    /// contents one after the other.
    package static let builtIn: [(name: String, source: String)] = [
        (
            "chatml",
            """
            {% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\
            {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
            """
        ),
        (
            "llama2",
            """
            {{ bos_token }}{% set ns = namespace(open=true) %}[INST] {% for message in messages %}{% if not ns.open %}\
            {{ bos_token }}[INST] {% set ns.open = true %}{% endif %}{% if message.role == 'system' %}\
            {{ '<<SYS>>\\n' + message.content.strip() + '\\n<</SYS>>\\n\\n' }}{% elif message.role == 'user' %}\
            {{ message.content.strip() + ' [/INST]' }}{% else %}{{ ' ' + message.content.strip() + ' ' + eos_token }}\
            {% set ns.open = false %}{% endif %}{% endfor %}
            """
        ),
        (
            "llama3",
            """
            {{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' \
            + message.content.strip() + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}\
            {{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}
            """
        ),
        (
            "zephyr",
            """
            {% for message in messages %}{{ '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' }}\
            {% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}
            """
        ),
        ("plain", "{% for message in messages %}{{ message.content }}{% endfor %}"),
    ]

    /// A built-in template.
    /// - Throws: `TemplateError` of the kind `input` if there is none of that name.
    public static func named(_ name: String) throws(TemplateError) -> ChatTemplate {
        guard let found = builtIn.first(where: { $0.name == name }) else {
            throw TemplateError(
                input: "there is no template '\(name)'; built in are \(builtIn.map { $0.name }.joined(separator: ", "))"
            )
        }
        return try ChatTemplate(jinja: found.source)
    }

    /// The text of a conversation.
    /// - Parameter tokens: what the template can see of the vocabulary: `bos_token` and others.
    /// - Throws: `TemplateError` for a template that cannot be run and for one that refuses the conversation.
    package func render(
        _ conversation: Conversation, tokens: [(name: String, text: String)]
    ) throws(TemplateError) -> RenderedText {
        var variables: [(name: String, value: Value)] = tokens.map { ($0.name, .string($0.text)) }
        variables += try conversation.variables()
        return try template.render(variables, time: conversation.time)
    }
}

extension Tokenizer {
    /// The chat template of the model; nil if it has none.
    /// - Throws: `TemplateError` for a template that cannot be run here.
    public func chatTemplate() throws(TemplateError) -> ChatTemplate? {
        guard let chatTemplateSource else { return nil }
        return try ChatTemplate(jinja: chatTemplateSource)
    }

    /// The text of a conversation as the template writes it.
    /// - Throws: `TemplateError`.
    public func render(_ conversation: Conversation, template: ChatTemplate) throws(TemplateError) -> String {
        try template.render(conversation, tokens: templateTokens).text
    }

    /// The ids of a conversation. Control tokens are recognized in the template's own text only, so that no message can
    /// pretend to be another.
    ///
    /// For a model of a GGUF file the begin token comes first if the model wants it, as in llama.cpp; a Hugging Face folder's
    /// template writes it itself, as in transformers.
    /// - Parameter continuation: a text after the conversation, in which control tokens are not recognized either.
    /// - Throws: `TemplateError`.
    public func encode(
        _ conversation: Conversation, template: ChatTemplate, continuation: String = ""
    ) throws(TemplateError) -> [Int32] {
        let rendered = try template.render(conversation, tokens: templateTokens)
        let begins = bos.map { rendered.begins(with: piece(of: $0)) } ?? false
        return (rendered.bytes + Array(continuation.utf8)).withUnsafeBufferPointer {
            encode($0, trusted: rendered.own, addSpecial: !isHuggingFace && !begins, isComplete: false)
        }
    }

    /// The special tokens that a template can name.
    private var templateTokens: [(name: String, text: String)] {
        let tokens = [("bos_token", bos), ("eos_token", eos), ("unk_token", unknown), ("pad_token", padding)]
        return tokens.compactMap { name, id in
            id.map { (name, String(decoding: piece(of: $0), as: UTF8.self)) }
        }
    }
}

extension RenderedText {
    /// Whether the text begins with a token that the template has written.
    fileprivate func begins(with token: [UInt8]) -> Bool {
        guard let first = own.first, first.lowerBound == 0 else { return false }
        return !token.isEmpty && token.count <= first.count && bytes.starts(with: token)
    }
}
