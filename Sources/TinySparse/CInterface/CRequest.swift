// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinyTemplates
import TinyTokenizer

/// The JSON options of a caller; NULL has none.
func request(_ options: UnsafePointer<CChar>?) throws(CFailure) -> Request {
    let bytes = options.map { Array(String(cString: $0).utf8) } ?? Array("{}".utf8)
    return try reporting { () throws(RequestError) in try Request(bytes) }
}

/// What a caller wants to be generated: after a prompt, or as the answer in a conversation.
struct GenerationRequest {
    let options: GenerationOptions
    /// Empty for a conversation.
    let prompt: [UInt8]
    private let conversation: Conversation?
    /// Jinja instead of the model's template.
    private let template: String?

    /// - Throws: bad option for options that are none, and for a prompt beside messages.
    init(_ request: Request, prompt: UnsafePointer<CChar>?, _ size: Int) throws(CFailure) {
        self.prompt = try text(prompt, size)
        (conversation, options, template) = try reporting { () throws(RequestError) in
            guard let conversation = try request.conversation() else {
                return (nil, try GenerationOptions(request: request), nil)
            }
            guard size == 0 else { throw RequestError("a prompt and messages cannot be combined") }
            let options = try GenerationOptions(request: request, also: Request.chatKeys + ["chat_template"])
            return (conversation, options, try request.string("chat_template"))
        }
    }

    /// The tokens of the conversation; nil if there is none.
    /// - Throws: bad option if there is no template, and what the template says of the conversation; bad file for a template
    ///   that cannot be run.
    func encodedConversation(_ tokenizer: Tokenizer) throws(CFailure) -> [Int32]? {
        guard let conversation else { return nil }
        let found = try reporting { () throws(TemplateError) -> ChatTemplate? in
            if let template { return try ChatTemplate(jinja: template) }
            return try tokenizer.chatTemplate()
        }
        guard let found else {
            throw CFailure(RequestError("messages: the model has no chat template; give one as chat_template"))
        }
        return try reporting { () throws(TemplateError) in try tokenizer.encode(conversation, template: found) }
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
