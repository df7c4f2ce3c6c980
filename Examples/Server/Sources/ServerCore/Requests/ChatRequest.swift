// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// A request to `/v1/chat/completions`.
struct ChatRequest {
    let generation: GenerationFields
    /// Token ids.
    let prompt: [Int32]
    /// What they stand for; its end decides whether the answer begins with thinking.
    let promptText: String

    /// Linear in the size of the body, and what its constraint and the chat template need.
    /// - Throws: `APIError`.
    init(_ body: [UInt8], _ model: ServedModel) throws(APIError) {
        let fields = try Fields(body: body)
        try model.check(fields)
        guard let template = model.template else {
            throw .invalid(
                "the model '\(model.name)' has no chat template: use /v1/completions, or start the server with --template",
                code: "no_chat_template")
        }
        var generation = try GenerationFields(fields, maxTokens: model.maxTokens, standard: model.maxTokens)
        let alternatives = try fields.integer("top_logprobs", in: 0...GenerationFields.mostAlternatives)
        let isAsked = try fields.bool("logprobs") ?? false
        guard isAsked || alternatives == nil else { throw fields.wrong("top_logprobs", "needs logprobs: true") }
        generation.askForProbabilities(isAsked ? alternatives ?? 0 : nil)
        self.generation = generation

        var conversation = Conversation(try Self.messages(fields))
        do throws(TemplateError) {
            for (name, value) in fields["chat_template_kwargs"]?.object ?? [] { try conversation.set(name, to: value) }
            promptText = try model.tokenizer.render(conversation, template: template)
            prompt = try model.tokenizer.encode(conversation, template: template)
        } catch {
            throw APIError(error)
        }
    }

    private static func messages(_ fields: Fields) throws(APIError) -> [ChatMessage] {
        guard let list = fields["messages"]?.array, !list.isEmpty else {
            throw fields.wrong("messages", "a list of at least one message is needed")
        }
        var messages: [ChatMessage] = []
        for (index, value) in list.enumerated() {
            messages.append(try message(Fields(value, "messages[\(index)]")))
        }
        return messages
    }

    /// The roles that models know. What OpenAI calls `developer` is the system message of others.
    private static let roles = ["system": "system", "developer": "system", "user": "user", "assistant": "assistant"]

    private static func message(_ fields: Fields) throws(APIError) -> ChatMessage {
        guard let role = Self.roles[try fields.string("role") ?? ""] else {
            throw fields.wrong("role", "system, developer, user or assistant is needed")
        }
        for name in ["tool_calls", "function_call", "audio"] {
            if let value = fields[name], value.array?.isEmpty != true {
                throw fields.wrong(name, "not supported here; leave it out", code: "unsupported_parameter")
            }
        }
        return ChatMessage(role: role, content: try content(fields), reasoning: try fields.string("reasoning_content"))
    }

    /// A string, or parts of type text, which are joined by line breaks.
    private static func content(_ fields: Fields) throws(APIError) -> String {
        guard let parts = fields["content"]?.array else {
            guard let text = try fields.string("content") else { throw fields.wrong("content", "is missing") }
            return text
        }
        var texts: [String] = []
        for (index, value) in parts.enumerated() {
            let part = try Fields(value, "messages.content[\(index)]")
            guard try part.string("type") == "text" else {
                throw part.wrong("type", "only parts of type text are supported", code: "unsupported_parameter")
            }
            guard let text = try part.string("text") else { throw part.wrong("text", "is missing") }
            texts.append(text)
        }
        return texts.joined(separator: "\n")
    }
}
