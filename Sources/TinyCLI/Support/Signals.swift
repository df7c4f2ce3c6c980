import Synchronization
import TinyPlatform

/// Ctrl-C and its relatives. A handler only counts; the program looks when it can stop cleanly, which is
/// after every token, block of a prompt, chunk or tensor.
enum Signals {
    private static let count = Atomic<Int>(0)
    private static let last = Atomic<Int32>(0)

    /// Installs the handlers. Writing to a closed pipe becomes an error of `write` instead of a death.
    static func install() {
        // Lazy globals are made here and not in a handler.
        count.store(0, ordering: .relaxed)
        last.store(0, ordering: .relaxed)
        handle(SIGPIPE) { _ in }
        handle(SIGINT, with: stop)
        handle(SIGTERM, with: stop)
        // Under nohup, a terminal that goes away is no reason to stop.
        if !isIgnored(SIGHUP) { handle(SIGHUP, with: stop) }
    }

    private static let stop: @convention(c) (Int32) -> Void = { number in
        Signals.last.store(number, ordering: .relaxed)
        // Somebody who asks three times does not want to wait for anything.
        if Signals.count.add(1, ordering: .relaxed).newValue >= 3 { _exit(ExitCode.signal(number)) }
    }

    private static func handle(_ number: Int32, with handler: @escaping @convention(c) (Int32) -> Void) {
        // No SA_RESTART: waiting for a line has to end, too.
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

    /// Whether the signal asked for the end of the program and not only of what it is doing.
    static var isTermination: Bool { pending > 0 && last.load(ordering: .relaxed) != SIGINT }

    static var failure: Failure { .interrupted(last.load(ordering: .relaxed)) }

    static func reset() { count.store(0, ordering: .relaxed) }

    /// - Throws: `Failure.interrupted` if a signal came.
    static func check() throws(Failure) {
        if pending > 0 { throw failure }
    }
}
