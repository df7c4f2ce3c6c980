// SPDX-License-Identifier: Apache-2.0

import TinyConstraints
import TinyRuntime
import TinySupport
import TinyTemplates
import TinyTokenizer

/// The codes of tinysparse.h.
enum CStatus: Int32 {
    case ok, badFile, badOption, contextFull, noMemory, brokenModel, other, stopped
}

/// What a function of the interface tells its caller: every error of the library becomes one of these.
struct CFailure: Error {
    let status: CStatus
    let message: String

    init(_ error: some CReportable) { (status, message) = (error.status, error.description) }
}

/// An error of the library with its code.
protocol CReportable: Error, CustomStringConvertible {
    var status: CStatus { get }
}

extension FormatError: CReportable { var status: CStatus { .badFile } }
extension TokenizerError: CReportable { var status: CStatus { .badFile } }
extension RequestError: CReportable { var status: CStatus { .badOption } }

extension TemplateError: CReportable {
    var status: CStatus { kind == .input || kind == .raised ? .badOption : .badFile }
}

extension RuntimeError: CReportable {
    var status: CStatus {
        switch self {
        case .badOption, .emptyInput, .tokenOutOfRange, .constraint: .badOption
        case .contextFull: .contextFull
        case .outOfMemory: .noMemory
        case .nonFiniteLogits: .brokenModel
        }
    }
}

extension ConstraintError: CReportable { var status: CStatus { .badOption } }

/// The caller's condition ended the work.
struct Stopped: CReportable {
    let status = CStatus.stopped
    let description = "stopped by the condition of the session"
}

/// Runs a call of the library; its error becomes one of the interface.
func reporting<T, E: CReportable>(_ body: () throws(E) -> T) throws(CFailure) -> T {
    do throws(E) { return try body() } catch { throw CFailure(error) }
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
    func status(of body: () throws(CFailure) -> Void) -> Int32 {
        do throws(CFailure) {
            try body()
            set("")
            return CStatus.ok.rawValue
        } catch {
            set(error.message)
            return error.status.rawValue
        }
    }

    /// Runs `body` and keeps what it makes for the caller, who gives it back with `release`.
    func handle<T: CObject>(
        _ status: UnsafeMutablePointer<Int32>?, _ make: () throws(CFailure) -> T
    ) -> OpaquePointer? {
        var made: T?
        let code = self.status { () throws(CFailure) in made = try make() }
        status?.pointee = code
        return made.map(keep)
    }
}
