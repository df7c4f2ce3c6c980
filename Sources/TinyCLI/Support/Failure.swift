import TinyRuntime

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

    #if hasFeature(Embedded)
    init(_ failure: Failure) { self = failure }
    init(_ error: some Error & CustomStringConvertible) { self = .problem(escaped(error.description)) }
    #else
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as RuntimeError: self.init(error)
        default: self = .problem(escaped("\(error)"))
        }
    }
    #endif
}

#if hasFeature(Embedded)
/// What commands throw: Embedded Swift needs one type.
typealias CommandError = Failure
#else
/// What commands throw: any error, including the library's.
typealias CommandError = any Error
#endif

/// The exit codes, as `--help` documents them.
enum ExitCode {
    static let success: Int32 = 0
    static let problem: Int32 = 1
    static let usage: Int32 = 2

    /// 130 for Ctrl-C, as in shells.
    static func signal(_ number: Int32) -> Int32 { 128 + number }
}
