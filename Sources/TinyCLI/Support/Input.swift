// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinySupport

/// Standard input, or another that is open, line by line.
///
/// The standard library's `readLine` cannot tell the end of the input from a signal; a chat has to.
struct LineReader {
    enum Line {
        /// Without the line break; invalid UTF-8 is repaired.
        case text(String)
        case end
        case interrupted
    }

    private let descriptor: Int32
    private let name: String
    private var buffer: [UInt8] = []
    private var start = 0

    init() { (descriptor, name) = (STDIN_FILENO, "standard input") }

    /// The lines of a file, which stays open as long as the program runs.
    /// - Throws: `Failure.problem`.
    init(path: String) throws(Failure) {
        (descriptor, name) = (try openInput(path), escaped(path))
    }

    mutating func next() throws(Failure) -> Line {
        if start > 1 << 16 {
            buffer.removeFirst(start)
            start = 0
        }
        var searched = start
        while true {
            if let newline = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = newline + 1 }
                return .text(text(upTo: newline))
            }
            searched = buffer.count
            switch try readBytes(descriptor, into: &buffer, name: name) {
            case .some: continue
            case .end:
                if start == buffer.count { return .end }
                defer { start = buffer.count }
                return .text(text(upTo: buffer.count))
            case .interrupted: return .interrupted
            }
        }
    }

    private func text(upTo end: Int) -> String {
        var line = buffer[start..<end]
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return String(decoding: line, as: UTF8.self)
    }
}

/// All bytes of a file, or of standard input for "-".
func readAll(_ path: String) throws(Failure) -> [UInt8] {
    let name = path == "-" ? "standard input" : escaped(path)
    let descriptor = path == "-" ? STDIN_FILENO : try openInput(path)
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    var bytes: [UInt8] = []
    while true {
        switch try readBytes(descriptor, into: &bytes, name: name) {
        case .some: continue
        case .end: return bytes
        case .interrupted: throw Signals.failure
        }
    }
}

private func openInput(_ path: String) throws(Failure) -> Int32 {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw .problem("\(escaped(path)): cannot open: \(String(cString: strerror(errno))); check the path")
    }
    return descriptor
}

private enum ReadResult { case some, end, interrupted }

private func readBytes(
    _ descriptor: Int32, into bytes: inout [UInt8], name: String
) throws(Failure) -> ReadResult {
    var count = 0
    withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 1) { chunk in
        count = read(descriptor, chunk.baseAddress!, chunk.count)
        if count > 0 { bytes += chunk[..<count] }
    }
    if count > 0 { return .some }
    if count == 0 { return .end }
    if errno == EINTR { return .interrupted }
    throw .problem("\(name): cannot read: \(String(cString: strerror(errno)))")
}

/// Writes a file atomically: nothing is left under its name if that fails.
func writeFile(_ path: String, _ text: String) throws(Failure) {
    do throws(FormatError) {
        let file = try AtomicFile(path: path)
        let bytes = Array(text.utf8)
        try file.setSize(bytes.count)
        try bytes.withUnsafeBufferPointer { bytes throws(FormatError) in
            try file.write(UnsafeRawBufferPointer(bytes), at: 0)
        }
        try file.commit()
    } catch {
        throw Failure(error)
    }
}
