// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about sessions. What they do is said there.

import TinyRuntime
import TinySupport

/// A session, and what its caller wants to be asked while it works.
final class CSession: CObject {
    static var mark: UInt64 { 0x6973_7365_735F_7374 }
    static var kind: String { "session" }

    let session: Session
    var condition: CCondition?
    var context: UnsafeMutableRawPointer?
    /// How often something else than a text that its caller fetches has changed what the session has read.
    private(set) var changes = 0

    init(_ session: Session) { self.session = session }

    /// Whether the caller wants the work to go on.
    var goesOn: Bool { condition.map { $0(context) != 0 } ?? true }

    /// The session, to read or forget tokens: a text that is being fetched cannot go on after that.
    func changing() -> Session {
        changes += 1
        return session
    }
}

/// `tinysparse_condition`.
public typealias CCondition = @convention(c) (UnsafeMutableRawPointer?) -> Int32

@c(tinysparse_session_open)
public func tinysparseSessionOpen(
    _ model: OpaquePointer?, _ options: UnsafePointer<CChar>?, _ status: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) { () throws(CFailure) in
        let model: Model = try object(model)
        let request = try request(options)
        let options = try reporting { () throws(RequestError) in try Session.Options(request: request) }
        return CSession(try reporting { () throws(RuntimeError) in try Session(model, options) })
    }
}

@c(tinysparse_session_close)
public func tinysparseSessionClose(_ session: OpaquePointer?) { release(session, as: CSession.self) }

@c(tinysparse_session_while)
public func tinysparseSessionWhile(
    _ session: OpaquePointer?, _ condition: CCondition?, _ context: UnsafeMutableRawPointer?
) {
    guard let session = objectIfAny(session, as: CSession.self) else { return }
    (session.condition, session.context) = (condition, context)
}

@c(tinysparse_read)
public func tinysparseRead(
    _ session: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status { () throws(CFailure) in
        let session = try object(session, as: CSession.self)
        let tokens = try Array(values(tokens, count, "list of tokens"))
        let isDone = try reporting { () throws(RuntimeError) in
            try session.changing().evaluateBlocks(tokens, while: { session.goesOn })
        }
        guard isDone else { throw CFailure(Stopped()) }
    }
}

@c(tinysparse_save)
public func tinysparseSave(
    _ session: OpaquePointer?, _ file: UnsafePointer<CChar>?, _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status { () throws(CFailure) in
        let session = try object(session, as: CSession.self).session
        let path = try text(ofPath: file)
        _ = try reporting { () throws(FormatError) in try session.save(to: path) }
    }
}

@c(tinysparse_restore)
public func tinysparseRestore(
    _ session: OpaquePointer?, _ file: UnsafePointer<CChar>?, _ prompt: UnsafePointer<Int32>?, _ count: Int,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status { () throws(CFailure) in
        let session = try object(session, as: CSession.self)
        let path = try text(ofPath: file)
        let tokens = try Array(values(prompt, count, "list of tokens"))
        _ = try reporting { () throws(FormatError) in
            let saved = try SavedState(path: path, of: session.session.model)
            return try session.changing().restore(saved, for: prompt == nil ? nil : tokens)
        }
    }
}

@c(tinysparse_logits)
public func tinysparseLogits(_ session: OpaquePointer?) -> UnsafePointer<Float>? {
    objectIfAny(session, as: CSession.self)?.session.logits.baseAddress
}

@c(tinysparse_position)
public func tinysparsePosition(_ session: OpaquePointer?) -> Int {
    objectIfAny(session, as: CSession.self)?.session.tokens.count ?? 0
}

@c(tinysparse_rewind)
public func tinysparseRewind(_ session: OpaquePointer?, _ count: Int) {
    // A size beyond Int arrives as a negative number.
    if count >= 0 { objectIfAny(session, as: CSession.self)?.changing().rewind(to: count) }
}
