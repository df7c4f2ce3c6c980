// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about sessions. What they do is said there.

import TinyRuntime
import TinyTokenizer

/// A session, and what its caller wants to be asked while it works.
final class CSession {
    let session: Session
    var condition: CCondition?
    var context: UnsafeMutableRawPointer?

    init(_ session: Session) { self.session = session }

    /// Whether the caller wants the work to go on.
    var goesOn: Bool { condition.map { $0(context) != 0 } ?? true }
}

/// `tinysparse_condition`.
public typealias CCondition = @convention(c) (UnsafeMutableRawPointer?) -> Int32

@c(tinysparse_session_open)
public func tinysparseSessionOpen(
    _ model: OpaquePointer?, _ options: UnsafePointer<CChar>?, _ status: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) {
        try CSession(Session(object(model, as: Model.self), Session.Options(request: try request(options))))
    }
}

@c(tinysparse_session_close)
public func tinysparseSessionClose(_ session: OpaquePointer?) { release(session, as: CSession.self) }

@c(tinysparse_session_while)
public func tinysparseSessionWhile(
    _ session: OpaquePointer?, _ condition: CCondition?, _ context: UnsafeMutableRawPointer?
) {
    guard let session = try? object(session, as: CSession.self) else { return }
    (session.condition, session.context) = (condition, context)
}

@c(tinysparse_read)
public func tinysparseRead(
    _ session: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status {
        let session = try object(session, as: CSession.self)
        let tokens = try Array(values(tokens, count, "list of tokens"))
        guard try session.session.evaluateBlocks(tokens, while: { session.goesOn }) else { throw Stopped() }
    }
}

@c(tinysparse_save)
public func tinysparseSave(
    _ session: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status {
        let session = try object(session, as: CSession.self).session
        guard let path else { throw RequestError("the path is missing") }
        try session.save(to: String(cString: path))
    }
}

@c(tinysparse_restore)
public func tinysparseRestore(
    _ session: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ prompt: UnsafePointer<Int32>?, _ count: Int,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status {
        let session = try object(session, as: CSession.self).session
        guard let path else { throw RequestError("the path is missing") }
        let tokens = try Array(values(prompt, count, "list of tokens"))
        let saved = try SavedState(path: String(cString: path), of: session.model)
        try session.restore(saved, for: prompt == nil ? nil : tokens)
    }
}

@c(tinysparse_logits)
public func tinysparseLogits(_ session: OpaquePointer?) -> UnsafePointer<Float>? {
    (try? object(session, as: CSession.self))?.session.logits.baseAddress
}

@c(tinysparse_position)
public func tinysparsePosition(_ session: OpaquePointer?) -> Int {
    (try? object(session, as: CSession.self))?.session.tokens.count ?? 0
}

@c(tinysparse_rewind)
public func tinysparseRewind(_ session: OpaquePointer?, _ count: Int) {
    // A size beyond Int arrives as a negative number.
    if count >= 0 { (try? object(session, as: CSession.self))?.session.rewind(to: count) }
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
        let handle = try object(session, as: CSession.self), session = handle.session
        let request = try GenerationRequest(try request(options), prompt: prompt, promptSize)
        let tokenizer = session.model.tokenizer
        let ids =
            if let conversation = try request.encodedConversation(tokenizer) {
                session.keepBeginning(of: conversation)
            } else {
                tokenizer.encode(request.prompt, addSpecial: session.tokens.isEmpty)[...]
            }
        var generation = try session.generation(prompt: Array(ids), request.options, while: { handle.goesOn })
        while handle.goesOn, var piece = try generation.next(while: { handle.goesOn }) {
            let goesOn =
                piece.isEmpty
                || piece.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { callback?($0.baseAddress, $0.count, context) ?? 1 }
                } != 0
            if !goesOn { generation.cancel() }
        }
        reason?.pointee = (generation.reason ?? .cancelled).code
    }
}
