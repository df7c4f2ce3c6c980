// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinyRuntime
import TinySupport

/// One line of an input in JSON Lines.
struct RequestLine {
    let line: Int
    /// The id in the answer, as JSON text: the line's own, or its number.
    let id: String
    private let content: Result<Request, RequestError>

    /// nil for an empty line.
    init?(_ text: String, line: Int) {
        guard text.contains(where: { !$0.isWhitespace }) else { return nil }
        self.line = line
        do throws(RequestError) {
            let request = try Request(Array(text.utf8))
            id = try request.identifier("id") ?? "\(line)"
            content = .success(request)
        } catch {
            id = "\(line)"
            content = .failure(error)
        }
    }

    /// - Throws: `RequestError` for a line that is no request.
    func request() throws(RequestError) -> Request { try content.get() }

    func failure(_ message: String) -> String { answer([("line", .number(line)), ("error", .string(message))]) }

    func answer(_ members: [(key: String, value: JSON)]) -> String {
        "{\"id\": " + JSON.escapingControls(id) + ", " + JSON.object(members).text(depth: 0).dropFirst()
    }

    /// Calls `body` with every line of an input but those whose id is in `answered`.
    /// - Throws: `Failure.interrupted`, and what `body` throws.
    static func forEach(
        of reader: LineReader, except answered: Set<String>, _ body: (RequestLine) throws(Failure) -> Void
    )
        throws(Failure)
    {
        var reader = reader
        var line = 0
        while true {
            try Signals.check()
            switch try reader.next() {
            case .end: return
            case .interrupted: continue
            case .text(let text):
                line += 1
                guard let request = RequestLine(line == 1 ? text.withoutByteOrderMark : text, line: line) else {
                    continue
                }
                if !answered.contains(request.id) { try body(request) }
            }
        }
    }

    /// The ids that an earlier output answers without an error. If this output is appended to it, an incomplete last line is
    /// removed.
    static func answeredIDs(_ path: String) throws(Failure) -> Set<String> {
        guard fileExists(path) else { return [] }
        let bytes = try readAll(path)
        let complete = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        if complete < bytes.count { Console.cutOutput(ifItIs: path, to: complete) }
        var ids: Set<String> = []
        for line in bytes[..<complete].split(separator: UInt8(ascii: "\n")) {
            guard let answer = try? Request(Array(line)), answer["error"] == nil, let id = try? answer.identifier("id")
            else { continue }
            ids.insert(id)
        }
        return ids
    }
}

extension Failure {
    /// What is wrong with a request, for its answer, which escapes it.
    init(_ error: RequestError) { self = .problem(error.description) }
}

extension Result<ChatSetup?, Failure> {
    /// The chat template for a request with messages.
    /// - Throws: `Failure.problem` if there is none, or why it cannot be run.
    func template() throws(Failure) -> ChatSetup {
        guard let chat = try get() else {
            throw .problem("messages: the model has no chat template; choose a --template")
        }
        return chat
    }
}

extension Option {
    static let resume = Option(
        "resume", value: "FILE", "skip the ids that FILE, output of an earlier run, answers without an error")
}

extension String {
    /// Without the mark that some editors put at the beginning of a text.
    fileprivate var withoutByteOrderMark: String {
        unicodeScalars.first == "\u{FEFF}" ? String(unicodeScalars.dropFirst()) : self
    }
}

extension Console {
    /// Truncates standard output to `size` bytes if it is the file `path`.
    fileprivate static func cutOutput(ifItIs path: String, to size: Int) {
        var file = stat(), output = stat()
        guard stat(path, &file) == 0, fstat(STDOUT_FILENO, &output) == 0,
            file.st_dev == output.st_dev, file.st_ino == output.st_ino
        else { return }
        _ = ftruncate(STDOUT_FILENO, size)
    }
}
