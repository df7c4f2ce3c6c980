// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport
import TinyTokenizer

/// The codes and messages of tinysparse.h.
enum CStatus: Int32 {
    case ok, badFile, badOption, contextFull, noMemory, brokenModel, other

    init(_ error: any Error) {
        self =
            switch error {
            case is FormatError, is TokenizerError: .badFile
            case is RequestError: .badOption
            case RuntimeError.badOption, RuntimeError.emptyInput, RuntimeError.tokenOutOfRange: .badOption
            case RuntimeError.contextFull: .contextFull
            case RuntimeError.outOfMemory: .noMemory
            case RuntimeError.nonFiniteLogits: .brokenModel
            default: .other
            }
    }
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

/// The object behind a handle.
func object<T: AnyObject>(_ handle: OpaquePointer, as type: T.Type = T.self) -> T {
    Unmanaged<T>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
}

func release<T: AnyObject>(_ handle: OpaquePointer?, as type: T.Type) {
    guard let handle else { return }
    Unmanaged<T>.fromOpaque(UnsafeRawPointer(handle)).release()
}

/// Bytes of a caller as text; nil stands for none.
func text(_ bytes: UnsafePointer<CChar>?, _ size: Int) -> [UInt8] {
    guard let bytes, size > 0 else { return [] }
    return Array(UnsafeRawBufferPointer(start: bytes, count: size))
}
