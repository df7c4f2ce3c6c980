/// How a command can end other than well.
enum Failure: Error {
    /// The command line makes no sense.
    case usage(String)
    /// Something outside, a file perhaps, is not as it should be.
    case problem(String)
    /// A signal asked the program to stop.
    case interrupted(Int32)
    /// Whoever read the output has gone. That is no error: it saw enough.
    case outputClosed

    /// What an error of the library means to the user.
    #if hasFeature(Embedded)
    init(_ failure: Failure) { self = failure }
    init(_ error: some Error & CustomStringConvertible) { self = .problem(escaped(error.description)) }
    #else
    init(_ error: any Error) { self = error as? Failure ?? .problem(escaped("\(error)")) }
    #endif
}

#if hasFeature(Embedded)
/// What commands throw: Embedded Swift needs one type.
typealias CommandError = Failure
#else
/// What commands throw: anything, the library's errors included.
typealias CommandError = any Error
#endif

/// The exit codes, as `--help` documents them.
enum ExitCode {
    static let success: Int32 = 0
    static let problem: Int32 = 1
    static let usage: Int32 = 2

    /// 130 for Ctrl-C, as shells count.
    static func signal(_ number: Int32) -> Int32 { 128 + number }
}
