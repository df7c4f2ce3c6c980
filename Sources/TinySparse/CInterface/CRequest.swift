// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinyTokenizer

/// The JSON options of a caller; NULL has none.
func request(_ options: UnsafePointer<CChar>?) throws -> Request {
    try Request(options.map { Array(String(cString: $0).utf8) } ?? Array("{}".utf8))
}

/// What a caller wants to be generated: after a prompt, or as the answer in a conversation.
struct GenerationRequest {
    let options: GenerationOptions
    /// Empty for a conversation.
    let prompt: [UInt8]
    private let conversation: Conversation?
    /// Jinja instead of the model's template.
    private let template: String?

    /// - Throws: `RequestError` for options that are none, and for a prompt beside messages.
    init(_ request: Request, prompt: UnsafePointer<CChar>?, _ size: Int) throws {
        conversation = try request.conversation()
        self.prompt = try text(prompt, size)
        if conversation == nil {
            options = try GenerationOptions(request: request)
            template = nil
        } else {
            guard size == 0 else { throw RequestError("a prompt and messages cannot be combined") }
            options = try GenerationOptions(request: request, also: Request.chatKeys + ["chat_template"])
            template = try request.string("chat_template")
        }
    }

    /// The tokens of the conversation; nil if there is none.
    /// - Throws: `TemplateError`, and `RequestError` if there is no template.
    func encodedConversation(_ tokenizer: Tokenizer) throws -> [Int32]? {
        guard let conversation else { return nil }
        guard let template = try template.map({ try ChatTemplate(jinja: $0) }) ?? tokenizer.chatTemplate() else {
            throw RequestError("messages: the model has no chat template; give one as chat_template")
        }
        return try tokenizer.encode(conversation, template: template)
    }
}

extension StopReason {
    /// `tinysparse_reason`.
    var code: Int32 {
        switch self {
        case .endOfText: 0
        case .maxTokens: 1
        case .stopString: 2
        case .contextFull: 3
        case .cancelled: 4
        }
    }
}
