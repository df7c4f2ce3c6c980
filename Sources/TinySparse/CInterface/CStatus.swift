// SPDX-License-Identifier: Apache-2.0

import TinyConstraints
import TinyRuntime
import TinySupport
import TinyTemplates
import TinyTokenizer

/// The codes and messages of tinysparse.h.
enum CStatus: Int32 {
    case ok, badFile, badOption, contextFull, noMemory, brokenModel, other, stopped

    init(_ error: any Error) {
        self =
            switch error {
            case is FormatError, is TokenizerError: .badFile
            case let error as TemplateError: error.kind == .input || error.kind == .raised ? .badOption : .badFile
            case is RequestError: .badOption
            case is Stopped: .stopped
            case is ConstraintError, RuntimeError.constraint: .badOption
            case RuntimeError.badOption, RuntimeError.emptyInput, RuntimeError.tokenOutOfRange: .badOption
            case RuntimeError.contextFull: .contextFull
            case RuntimeError.outOfMemory: .noMemory
            case RuntimeError.nonFiniteLogits: .brokenModel
            default: .other
            }
    }
}

/// The caller's condition ended the work.
struct Stopped: Error, CustomStringConvertible {
    let description = "stopped by the condition of the session"
}

/// A caller's buffer for a message.
struct CMessage {
    let buffer: UnsafeMutablePointer<CChar>?
    let size: Int

    func set(_ text: String) {
        guard let buffer, size > 0 else { return }
        var count = 0
        for byte in text.utf8 where count < size - 1 {
            buffer[count] = CChar(bitPattern: byte)
            count += 1
        }
        buffer[count] = 0
    }

    /// Runs `body` and tells how it went.
    func status(of body: () throws -> Void) -> Int32 {
        do {
            try body()
            set("")
            return CStatus.ok.rawValue
        } catch {
            set("\(error)")
            return CStatus(error).rawValue
        }
    }

    /// Runs `body` and keeps what it makes for the caller, who gives it back with `release`.
    func handle<T: AnyObject>(_ status: UnsafeMutablePointer<Int32>?, _ make: () throws -> T) -> OpaquePointer? {
        var made: T?
        let code = self.status { made = try make() }
        status?.pointee = code
        return made.map { OpaquePointer(Unmanaged.passRetained($0).toOpaque()) }
    }
}

/// The object behind a handle, which is its address.
///
/// The first word of a Swift object names its class: by that, NULL and handles of the other kind are told from good ones.
/// A handle that was closed, and an address that never was a handle, cannot be.
func object<T: AnyObject>(_ handle: OpaquePointer?, as type: T.Type = T.self) throws(RequestError) -> T {
    let kind = type == Model.self ? "model" : type == Batch.self ? "batch" : "session"
    guard let handle else { throw RequestError("the \(kind) is NULL") }
    let bits = UInt(bitPattern: handle)
    guard bits % UInt(MemoryLayout<UInt>.alignment) == 0,
        UnsafeRawPointer(handle).load(as: UInt.self) == UInt(bitPattern: ObjectIdentifier(type))
    else { throw RequestError("the handle is not that of a \(kind)") }
    return Unmanaged<T>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
}

/// Gives the object behind a handle back; what is no handle of that kind is left alone.
func release<T: AnyObject>(_ handle: OpaquePointer?, as type: T.Type) {
    guard let object = try? object(handle, as: type) else { return }
    Unmanaged.passUnretained(object).release()
}

/// `count` values of a caller.
/// - Throws: `RequestError` for NULL with a count, and for a count that is no size of memory.
func values<T>(
    _ start: UnsafePointer<T>?, _ count: Int, _ what: String
) throws(RequestError) -> UnsafeBufferPointer<T> {
    guard count >= 0, count <= Int.max / MemoryLayout<T>.stride else {
        throw RequestError("the size of the \(what) is too large")
    }
    guard start != nil || count == 0 else { throw RequestError("the \(what) is NULL, but its size is \(count)") }
    return UnsafeBufferPointer(start: start, count: count)
}

/// Bytes of a caller as text.
func text(_ bytes: UnsafePointer<CChar>?, _ size: Int) throws(RequestError) -> [UInt8] {
    try values(bytes, size, "text").map { UInt8(bitPattern: $0) }
}
