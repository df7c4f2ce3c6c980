// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about sessions. What they do is said there.

import TinyRuntime
import TinyTokenizer

@c(tinysparse_session_open)
public func tinysparseSessionOpen(
    _ model: OpaquePointer?, _ options: UnsafePointer<CChar>?, _ status: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) {
        try Session(object(model, as: Model.self), Session.Options(request: try request(options)))
    }
}

@c(tinysparse_session_close)
public func tinysparseSessionClose(_ session: OpaquePointer?) { release(session, as: Session.self) }

@c(tinysparse_read)
public func tinysparseRead(
    _ session: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status {
        try object(session, as: Session.self).evaluate(values(tokens, count, "list of tokens"))
    }
}

@c(tinysparse_logits)
public func tinysparseLogits(_ session: OpaquePointer?) -> UnsafePointer<Float>? {
    (try? object(session, as: Session.self))?.logits.baseAddress
}

@c(tinysparse_position)
public func tinysparsePosition(_ session: OpaquePointer?) -> Int {
    (try? object(session, as: Session.self))?.tokens.count ?? 0
}

@c(tinysparse_rewind)
public func tinysparseRewind(_ session: OpaquePointer?, _ count: Int) {
    // A size beyond Int arrives as a negative number.
    if count >= 0 { (try? object(session, as: Session.self))?.rewind(to: count) }
}

@c(tinysparse_generate)
public func tinysparseGenerate(
    _ session: OpaquePointer?, _ prompt: UnsafePointer<CChar>?, _ promptSize: Int,
    _ options: UnsafePointer<CChar>?,
    _ callback: (@convention(c) (UnsafePointer<CChar>?, Int, UnsafeMutableRawPointer?) -> Int32)?,
    _ context: UnsafeMutableRawPointer?, _ reason: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status {
        let session = try object(session, as: Session.self)
        let request = try request(options)
        let options: GenerationOptions
        let ids: [Int32]
        if let conversation = try request.conversation() {
            guard promptSize == 0 else { throw RequestError("a prompt and messages cannot be combined") }
            options = try GenerationOptions(request: request, also: Request.chatKeys + ["chat_template"])
            ids = try read(conversation, request.string("chat_template"), session)
        } else {
            options = try GenerationOptions(request: request)
            ids = try session.model.tokenizer.encode(text(prompt, promptSize), addSpecial: session.tokens.isEmpty)
        }
        var generation = try session.generation(prompt: ids, options)
        while var piece = try generation.next() {
            let goesOn =
                piece.isEmpty
                || piece.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { callback?($0.baseAddress, $0.count, context) ?? 1 }
                } != 0
            if !goesOn { generation.cancel() }
        }
        reason?.pointee = generation.reason?.code ?? 4
    }
}

/// Forgets what a conversation does not begin with.
/// - Parameter source: a chat template instead of the model's.
/// - Returns: The tokens of the conversation that are still to be read.
/// - Throws: `TemplateError`, and `RequestError` if there is no template.
private func read(_ conversation: Conversation, _ source: String?, _ session: Session) throws -> [Int32] {
    let tokenizer = session.model.tokenizer
    guard let template = try source.map({ try ChatTemplate(jinja: $0) }) ?? tokenizer.chatTemplate() else {
        throw RequestError("messages: the model has no chat template; give one as chat_template")
    }
    let ids = try tokenizer.encode(conversation, template: template)
    // The last token is always computed: its logits choose the first of the answer.
    let common = zip(ids.dropLast(), session.tokens).prefix { $0 == $1 }.count
    session.rewind(to: common)
    return Array(ids[common...])
}

private func request(_ options: UnsafePointer<CChar>?) throws -> Request {
    try Request(options.map { Array(String(cString: $0).utf8) } ?? Array("{}".utf8))
}

extension StopReason {
    /// `tinysparse_reason`.
    fileprivate var code: Int32 {
        switch self {
        case .endOfText: 0
        case .maxTokens: 1
        case .stopString: 2
        case .contextFull: 3
        case .cancelled: 4
        }
    }
}
