// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinySupport
import TinyTerminal

/// Where the messages of earlier chats are kept: `$XDG_STATE_HOME/tinysparse/history`, or the same in `~/.local/state`,
/// readable by its owner only. Chats at the same time append whole lines to it.
struct HistoryFile {
    private let path: String

    /// nil without a home.
    init?() {
        func variable(_ name: String) -> String? {
            guard let value = getenv(name).map({ String(cString: $0) }), value.hasPrefix("/") else { return nil }
            return value
        }
        guard let state = variable("XDG_STATE_HOME") ?? variable("HOME").map({ $0 + "/.local/state" }) else {
            return nil
        }
        path = state + "/tinysparse/history"
    }

    /// - Throws: `Failure.problem` for a file that cannot be read.
    func load() throws(Failure) -> History {
        guard fileExists(path) else { return History() }
        // Not a pipe, which would have no end.
        guard isRegularFile(path) else { throw .problem("\(escaped(path)): is not a regular file") }
        let bytes = try readAll(path)
        let history = History(file: bytes)
        // Twice as long as what is kept of it.
        if bytes.count > 1 << 20 || bytes.lazy.filter({ $0 == UInt8(ascii: "\n") }).count > 2 * History.limit {
            try replace(with: history)
        }
        return history
    }

    /// - Throws: `Failure.problem`.
    func append(_ entry: String) throws(Failure) {
        makeFolders()
        try write(History.line(entry), to: path, O_APPEND)
    }

    private func replace(with history: History) throws(Failure) {
        let new = path + ".\(getpid())"
        try write(history.entries.map(History.line).joined(), to: new, O_EXCL)
        guard rename(new, path) == 0 else {
            let error = failure(path)
            unlink(new)
            throw error
        }
    }

    /// One write, so that the lines of several chats do not mix.
    private func write(_ text: String, to path: String, _ flags: Int32) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        fchmod(descriptor, 0o600)
        var text = text
        let written = text.withUTF8 { systemWrite(descriptor, $0.baseAddress!, $0.count) == $0.count }
        guard text.isEmpty || written else { throw failure(path) }
    }

    private func failure(_ path: String) -> Failure {
        .problem("\(escaped(path)): cannot write: \(String(cString: strerror(errno)))")
    }

    private func makeFolders() {
        for end in path.indices where path[end] == "/" && end != path.startIndex { mkdir(String(path[..<end]), 0o700) }
    }
}

/// The system call, under a name that the function above does not shadow.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
