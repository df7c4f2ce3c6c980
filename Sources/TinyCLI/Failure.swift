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
}

/// The exit codes, as `--help` documents them.
enum ExitCode {
    static let success: Int32 = 0
    static let problem: Int32 = 1
    static let usage: Int32 = 2

    /// 130 for Ctrl-C, as shells count.
    static func signal(_ number: Int32) -> Int32 { 128 + number }
}
