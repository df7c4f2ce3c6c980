// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TinyPlatform
import TinyTerminal

/// Messages that a user edits on a terminal. Drawn on standard error, as the prompt of plain input is.
final class TerminalInput {
    private var editor: LineEditor
    private var parser = KeyParser()
    private var display: EditorDisplay
    /// Bytes that were read behind the end of a message.
    private var waiting: [UInt8] = []
    /// How many bytes to come were typed before the message began.
    private var typedAhead = 0
    private let file: HistoryFile?
    private var saysWhatFails = true

    /// Window changes so far.
    private static let resizes = Atomic<Int>(0)

    /// nil where lines cannot be edited: without a terminal, or on one that cannot move its cursor.
    /// - Parameter keepsHistory: whether messages go to a file, and come from there.
    init?(prompt: String, keepsHistory: Bool) {
        let type = getenv("TERM").map { String(cString: $0) } ?? ""
        guard Console.inputIsTerminal, Console.errorIsTerminal, !["", "dumb", "unknown"].contains(type) else {
            return nil
        }
        file = keepsHistory ? HistoryFile() : nil
        var history = History()
        do throws(Failure) { if let file { history = try file.load() } } catch {
            if case .problem(let message) = error { Console.note("note: no history: \(message)") }
        }
        editor = LineEditor(history: history)
        let size = Self.terminalSize()
        display = EditorDisplay(prompt: prompt, columns: size.columns, rows: size.rows)
        Signals.handle(SIGWINCH) { _ in TerminalInput.resizes.add(1, ordering: .relaxed) }
    }

    /// The next message, edited by the user.
    /// - Throws: `Failure.problem` if the terminal cannot be read.
    func next() throws(Failure) -> LineReader.Line {
        // What was typed in the terminal's own modes has line feeds for Enter.
        var bytes: Int32 = 0
        typedAhead = ioctl(STDIN_FILENO, UInt(FIONREAD), &bytes) == 0 ? Int(bytes) : 0
        guard TerminalMode.enter() else { return .end }
        defer { TerminalMode.restore() }
        editor.reset()
        display.forget()
        resize(Self.resizes.load(ordering: .relaxed))
        var isDrawn = false
        while true {
            while !waiting.isEmpty {
                guard let key = parser.feed(waiting.removeFirst()) else { continue }
                if let line = act(on: key) { return line }
                isDrawn = false
            }
            if !isDrawn { write(display.draw(editor.buffer)) }
            isDrawn = true
            switch try read() {
            case .end:
                write(display.finish(editor.buffer))
                return .end
            case .interrupted:
                guard Signals.pending == 0 else {
                    write(display.finish(editor.buffer))
                    return .interrupted
                }
                resize(Self.resizes.load(ordering: .relaxed))
                isDrawn = false
            case .some: continue
            }
        }
    }

    /// What ends the message, if the key does.
    private func act(on key: Key) -> LineReader.Line? {
        switch editor.handle(key) {
        case .editing(let rings): if rings { write("\u{07}") }
        case .clearScreen: write(display.clearScreen(editor.buffer))
        case .suspended: suspend()
        case .submitted(let text):
            write(display.finish(EditBuffer(text)))
            remember(text)
            return .text(text)
        case .interrupted:
            write(display.finish(editor.buffer))
            raise(SIGINT)
            return .interrupted
        case .ended:
            write(display.finish(editor.buffer))
            return .end
        }
        return nil
    }

    private func remember(_ message: String) {
        guard editor.remember(message), let file else { return }
        do throws(Failure) { try file.append(message) } catch {
            guard case .problem(let text) = error, saysWhatFails else { return }
            saysWhatFails = false
            Console.note("note: messages are not kept: \(text)")
        }
    }

    /// Stops the program as Ctrl-Z does, until the shell continues it.
    private func suspend() {
        write(display.finish(editor.buffer))
        TerminalMode.restore()
        raise(SIGTSTP)
        _ = TerminalMode.enter()
        resize(Self.resizes.load(ordering: .relaxed))
    }

    // MARK: The terminal

    private enum ReadResult { case some, end, interrupted }

    private func read() throws(Failure) -> ReadResult {
        if parser.isAmbiguous {
            // What follows an escape in a sequence follows at once.
            var request = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            if poll(&request, 1, 50) == 0 { parser.flush() }
        }
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = systemRead(STDIN_FILENO, &chunk, chunk.count)
        if count > 0 {
            let ahead = min(typedAhead, count)
            typedAhead -= ahead
            waiting += chunk[..<ahead].map { $0 == UInt8(ascii: "\n") ? UInt8(ascii: "\r") : $0 } + chunk[ahead..<count]
            return .some
        }
        if count == 0 { return .end }
        switch errno {
        case EINTR: return .interrupted
        // The terminal is gone.
        case EIO: return .end
        default: throw .problem("standard input: cannot read: \(String(cString: strerror(errno)))")
        }
    }

    private var seenResizes = -1

    private func resize(_ count: Int) {
        guard count != seenResizes else { return }
        seenResizes = count
        let size = Self.terminalSize()
        display.resize(columns: size.columns, rows: size.rows)
    }

    private static func terminalSize() -> (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    private func write(_ text: String) { Console.note(text, terminator: "") }
}

/// The system call, under a name that the method above does not shadow.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}
