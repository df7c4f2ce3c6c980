// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about sessions. What they do is said there.

import TinyRuntime

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
        let options = try GenerationOptions(request: try request(options))
        let ids = try session.model.tokenizer.encode(text(prompt, promptSize), addSpecial: session.tokens.isEmpty)
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
