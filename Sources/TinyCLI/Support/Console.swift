// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// Standard output and standard error, unbuffered: text appears as it is generated.
enum Console {
    static let outputIsTerminal = isatty(STDOUT_FILENO) == 1
    static let errorIsTerminal = isatty(STDERR_FILENO) == 1
    static let inputIsTerminal = isatty(STDIN_FILENO) == 1
    /// Whether standard output shows dim text: a terminal, unless NO_COLOR is set (https://no-color.org).
    static let outputHasStyles = outputIsTerminal && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)

    /// Fills the places of standard input, output and error that the caller has closed: a file opened later must not
    /// become one of them. Reading from such an input, or writing to such an output, is an error as before.
    static func reserveDescriptors() {
        var info = stat()
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_WRONLY)]
        where fstat(descriptor, &info) == -1 {
            // `open` takes the lowest number that is free; those below are not.
            _ = open("/dev/null", mode)
        }
    }

    /// Writes a result to standard output.
    /// - Throws: `Failure.outputClosed` if the reader closed it.
    static func write(_ text: String) throws(Failure) {
        guard write(text, to: STDOUT_FILENO) else { throw outputFailure }
    }

    /// The same for bytes.
    static func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard write(bytes, to: STDOUT_FILENO) else { throw outputFailure }
    }

    /// Why standard output took nothing.
    private static var outputFailure: Failure {
        errno == EPIPE ? .outputClosed : .problem("cannot write the output: \(String(cString: strerror(errno)))")
    }

    static func writeLine(_ text: String = "") throws(Failure) { try write(text + "\n") }

    /// Writes a model's text. Terminals interpret control characters, so they get none but line breaks and tabs.
    static func writeGenerated(_ text: String) throws(Failure) {
        try write(outputIsTerminal ? withoutControls(text) : text)
    }

    /// Writes a message to standard error; failures are ignored.
    static func note(_ text: String, terminator: String = "\n") {
        _ = write(text + terminator, to: STDERR_FILENO)
    }

    private static func write(_ text: String, to descriptor: Int32) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0), to: descriptor) }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let written = systemWrite(descriptor, bytes.baseAddress! + done, bytes.count - done)
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return false }
            done += written
        }
        return true
    }

    /// A line that overwrites itself, on terminals only.
    struct Progress {
        private var width = 0

        mutating func show(_ text: String) {
            guard Console.errorIsTerminal else { return }
            let padding = String(repeating: " ", count: max(width - text.count, 0))
            Console.note("\r" + text + padding, terminator: "")
            width = text.count
        }

        mutating func clear() {
            guard width > 0 else { return }
            Console.note("\r" + String(repeating: " ", count: width) + "\r", terminator: "")
            width = 0
        }
    }
}

/// The system call, under a name that the functions above do not shadow.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
