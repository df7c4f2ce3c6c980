import TinyPlatform

/// A model file that is truncated, or whose disk fails, while it is mapped: the next access to the lost pages raises
/// SIGBUS. The process cannot continue then, but it can say why.
enum BusError {
    private static let message: StaticString =
        "tinysparse: error: the model file was shortened or its disk failed while it was in use; replace files by renaming\n"

    static func install() {
        var action = sigaction()
        // Only async-signal-safe calls: a write of constant bytes, and _exit.
        let handler: @convention(c) (Int32) -> Void = { _ in
            _ = write(STDERR_FILENO, BusError.message.utf8Start, BusError.message.utf8CodeUnitCount)
            _exit(1)
        }
        #if canImport(Glibc)
        action.__sigaction_handler.sa_handler = handler
        #else
        action.__sa_handler.sa_handler = handler
        #endif
        sigaction(SIGBUS, &action, nil)
    }
}
