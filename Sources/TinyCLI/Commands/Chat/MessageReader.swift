// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// The messages of a chat: edited on a terminal, or lines of the input, joined where a backslash ends one.
struct MessageReader {
    static let prompt = "> "

    private var lines = LineReader()
    private let terminal: TerminalInput?

    init(keepsHistory: Bool) {
        terminal = TerminalInput(prompt: Self.prompt, keepsHistory: keepsHistory)
    }

    mutating func next() throws(Failure) -> LineReader.Line {
        if let terminal { return try terminal.next() }
        if Console.inputIsTerminal { Console.note(Self.prompt, terminator: "") }
        let message = try joinedLines()
        if Console.inputIsTerminal {
            switch message {
            case .end, .interrupted: Console.note("")
            case .text: break
            }
        }
        return message
    }

    private mutating func joinedLines() throws(Failure) -> LineReader.Line {
        var parts: [String] = []
        while true {
            switch try lines.next() {
            case .text(let line) where line.hasSuffix("\\"): parts.append(String(line.dropLast()))
            case .text(let line): return .text((parts + [line]).joined(separator: "\n"))
            case .end where !parts.isEmpty: return .text(parts.joined(separator: "\n"))
            case let other: return other
            }
        }
    }
}
