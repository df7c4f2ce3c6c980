// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TinyPlatform

/// The modes of the terminal: changed while a line is edited, and as they were before whatever ends the program.
enum TerminalMode {
    private static let isRaw = Atomic<Bool>(false)
    /// As it was before; written before `isRaw` is set, and read by signal handlers after that.
    nonisolated(unsafe) private static var saved = termios()

    private static let pasteOn: StaticString = "\u{1B}[?2004h"
    private static let pasteOff: StaticString = "\u{1B}[?2004l"

    /// Keys come one by one, without echo, and Ctrl-C is a key.
    /// - Returns: false if the terminal does not do that.
    static func enter() -> Bool {
        guard tcgetattr(STDIN_FILENO, &saved) == 0 else { return false }
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
        raw.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | IGNCR | ISTRIP | BRKINT)
        withUnsafeMutableBytes(of: &raw.c_cc) { codes in
            codes[Int(VMIN)] = 1
            codes[Int(VTIME)] = 0
        }
        isRaw.store(true, ordering: .sequentiallyConsistent)
        guard tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0 else {
            isRaw.store(false, ordering: .sequentiallyConsistent)
            return false
        }
        write(pasteOn)
        return true
    }

    /// Safe in a signal handler; nothing if the modes were not changed.
    static func restore() {
        guard isRaw.exchange(false, ordering: .sequentiallyConsistent) else { return }
        write(pasteOff)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved)
    }

    private static func write(_ text: StaticString) {
        _ = systemWrite(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    }
}

/// The system call, under a name that the function above does not shadow.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
