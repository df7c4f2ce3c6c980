// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport
import TinyTraining

/// How a command can fail.
enum Failure: Error {
    /// The command line is invalid.
    case usage(String)
    /// A file, a model or the system prevents the work.
    case problem(String)
    /// A signal asked the program to stop.
    case interrupted(Int32)
    /// The reader closed the output. That is not an error: it has read enough.
    case outputClosed

    /// An error of the library with the options that help: the library does not know the command line.
    init(_ error: RuntimeError) {
        let hint = if case .contextFull = error { "; use a larger --context or a shorter text" } else { "" }
        self = .problem(escaped(error.description) + hint)
    }

    /// An error about a file; it is only signals that stop such work.
    init(_ error: FormatError) {
        self = error.kind == .stopped ? Signals.failure : .problem(escaped(error.description))
    }

    /// An error of a training; it is only signals that stop one.
    init(_ error: TrainingError) {
        switch error {
        case .runtime(let error): self.init(error)
        case .file(let error): self.init(error)
        case .stopped: self = Signals.failure
        }
    }

    init(_ error: some Error & CustomStringConvertible) { self = .problem(escaped(error.description)) }
}

/// The exit codes, as `--help` documents them.
enum ExitCode {
    static let success: Int32 = 0
    static let problem: Int32 = 1
    static let usage: Int32 = 2

    /// 130 for Ctrl-C, as in shells.
    static func signal(_ number: Int32) -> Int32 { 128 + number }
}
