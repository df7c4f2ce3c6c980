// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about texts that a session writes. What they do is said there.

import TinyRuntime
import TinyTokenizer

/// A text that a session writes, piece by piece.
final class CText: CObject {
    static var mark: UInt64 { 0x7478_6574_5F5F_7374 }
    static var kind: String { "text" }

    private let session: CSession
    private var generation: Generation
    /// `CSession.changes` when the text began.
    private let changes: Int
    /// The last piece, for the caller to read: `capacity` bytes.
    private var buffer: UnsafeMutablePointer<CChar>?
    private var capacity = 0

    /// Reads the prompt.
    init(_ handle: CSession, _ request: GenerationRequest) throws(CFailure) {
        let tokenizer = handle.session.model.tokenizer
        let conversation = try request.encodedConversation(tokenizer)
        let session = handle.changing()
        let ids =
            if let conversation {
                session.keepBeginning(of: conversation)
            } else {
                tokenizer.encode(request.prompt, addSpecial: session.tokens.isEmpty)[...]
            }
        self.session = handle
        changes = handle.changes
        generation = try reporting { () throws(RuntimeError) in
            try session.generation(prompt: Array(ids), request.options, while: { handle.goesOn })
        }
    }

    deinit { buffer?.deallocate() }

    /// The reason for which the text has ended, or that it goes on.
    var reason: Int32 { generation.reason?.code ?? goesOn }

    /// The next piece, possibly empty; nil when the text has ended.
    /// - Throws: bad option if the session was made to read or forget something since.
    func next() throws(CFailure) -> String? {
        guard generation.reason == nil else { return nil }
        guard session.changes == changes else {
            throw CFailure(RequestError("the session has read or forgotten something else since this text began"))
        }
        guard session.goesOn else {
            generation.cancel()
            return nil
        }
        let session = self.session
        return try reporting { () throws(RuntimeError) in try generation.next(while: { session.goesOn }) }
    }

    func cancel() { generation.cancel() }

    /// A copy of the piece that lasts until the next one.
    func keep(_ piece: String) -> UnsafeBufferPointer<CChar> {
        let bytes = piece.utf8
        if bytes.count > capacity || buffer == nil {
            buffer?.deallocate()
            capacity = max(2 * bytes.count, 64)
            buffer = .allocate(capacity: capacity)
        }
        for (i, byte) in bytes.enumerated() { buffer![i] = CChar(bitPattern: byte) }
        return UnsafeBufferPointer(start: buffer, count: bytes.count)
    }
}

@c(tinysparse_text_open)
public func tinysparseTextOpen(
    _ session: OpaquePointer?, _ prompt: UnsafePointer<CChar>?, _ promptSize: Int, _ options: UnsafePointer<CChar>?,
    _ status: UnsafeMutablePointer<Int32>?, _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) { () throws(CFailure) in
        try CText(object(session), GenerationRequest(request(options), prompt: prompt, promptSize))
    }
}

@c(tinysparse_text_close)
public func tinysparseTextClose(_ text: OpaquePointer?) { release(text, as: CText.self) }

@c(tinysparse_text_next)
public func tinysparseTextNext(
    _ text: OpaquePointer?, _ piece: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
    _ pieceSize: UnsafeMutablePointer<Int>?, _ reason: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    piece?.pointee = nil
    pieceSize?.pointee = 0
    return CMessage(buffer: message, size: size).status { () throws(CFailure) in
        let text: CText = try object(text)
        let bytes = text.keep(try text.next() ?? "")
        piece?.pointee = bytes.baseAddress
        pieceSize?.pointee = bytes.count
        reason?.pointee = text.reason
    }
}

@c(tinysparse_generate)
public func tinysparseGenerate(
    _ session: OpaquePointer?, _ prompt: UnsafePointer<CChar>?, _ promptSize: Int,
    _ options: UnsafePointer<CChar>?,
    _ callback: (@convention(c) (UnsafePointer<CChar>?, Int, UnsafeMutableRawPointer?) -> Int32)?,
    _ context: UnsafeMutableRawPointer?, _ reason: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status { () throws(CFailure) in
        let text = try CText(object(session), GenerationRequest(request(options), prompt: prompt, promptSize))
        while var piece = try text.next() {
            let goesOn =
                piece.isEmpty
                || piece.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { callback?($0.baseAddress, $0.count, context) ?? 1 }
                } != 0
            if !goesOn { text.cancel() }
        }
        reason?.pointee = text.reason
    }
}
