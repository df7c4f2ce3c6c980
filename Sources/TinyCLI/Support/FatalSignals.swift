// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// Signals after which the process cannot continue, but can say why.
enum FatalSignals {
    /// A model file that is truncated, or whose disk fails, while it is mapped: the next access to the lost pages raises
    /// SIGBUS.
    private static let lostPages: StaticString =
        "tinysparse: error: the model file was shortened or its disk failed while it was in use; replace files by renaming\n"
    /// The standard library ends the program where it gets no memory; it has written how much it asked for.
    private static let aborted: StaticString =
        "tinysparse: error: the Swift runtime ended the program, most likely for lack of memory (see the first line above); use a smaller model or context\n"

    static func install() {
        // Only async-signal-safe calls: writes of constant bytes, tcsetattr, and _exit.
        Signals.handle(SIGBUS) { _ in FatalSignals.end(FatalSignals.lostPages) }
        Signals.handle(SIGABRT) { _ in FatalSignals.end(FatalSignals.aborted) }
    }

    private static func end(_ message: StaticString) {
        TerminalMode.restore()
        _ = write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
        _exit(1)
    }
}
