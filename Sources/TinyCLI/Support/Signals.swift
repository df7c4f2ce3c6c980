// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TinyPlatform

/// Ctrl-C, SIGTERM and SIGHUP. The handler only counts; the program polls where it can stop cleanly: after every
/// token, prefill chunk, chunk of an evaluation or tensor.
enum Signals {
    private static let count = Atomic<Int>(0)
    private static let last = Atomic<Int32>(0)

    /// Installs the handlers. Writing to a closed pipe, or beyond the limit of a file's size, becomes an error of `write`
    /// instead of terminating the process.
    static func install() {
        // Initializes the lazy globals here and not in a handler.
        count.store(0, ordering: .relaxed)
        last.store(0, ordering: .relaxed)
        TerminalMode.restore()
        handle(SIGPIPE) { _ in }
        handle(SIGXFSZ) { _ in }
        handle(SIGINT, with: stop)
        handle(SIGTERM, with: stop)
        // Under nohup, the program outlives its terminal.
        if !isIgnored(SIGHUP) { handle(SIGHUP, with: stop) }
    }

    private static let stop: @convention(c) (Int32) -> Void = { number in
        Signals.last.store(number, ordering: .relaxed)
        // The third signal terminates immediately.
        if Signals.count.add(1, ordering: .relaxed).newValue >= 3 {
            TerminalMode.restore()
            _exit(ExitCode.signal(number))
        }
    }

    /// Calls `handler` on a signal; it may do only what is safe in a signal handler.
    static func handle(_ number: Int32, with handler: @escaping @convention(c) (Int32) -> Void) {
        // No SA_RESTART: a blocking read has to return, too.
        var action = sigaction()
        #if canImport(Glibc)
        action.__sigaction_handler.sa_handler = handler
        #else
        action.__sa_handler.sa_handler = handler
        #endif
        sigaction(number, &action, nil)
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        sigaction(number, nil, &action)
        #if canImport(Glibc)
        let handler = action.__sigaction_handler.sa_handler
        #else
        let handler = action.__sa_handler.sa_handler
        #endif
        // SIG_IGN is the address 1.
        return unsafeBitCast(handler, to: Int.self) == 1
    }

    /// Signals since the last `reset`.
    static var pending: Int { count.load(ordering: .relaxed) }

    /// Whether the signal asks the program to end, not just the current answer.
    static var isTermination: Bool { pending > 0 && last.load(ordering: .relaxed) != SIGINT }

    static var failure: Failure { .interrupted(last.load(ordering: .relaxed)) }

    static func reset() { count.store(0, ordering: .relaxed) }

    /// - Throws: `Failure.interrupted` if a signal is pending.
    static func check() throws(Failure) {
        if pending > 0 { throw failure }
    }
}
