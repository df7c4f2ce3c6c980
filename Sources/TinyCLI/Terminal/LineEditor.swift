// SPDX-License-Identifier: Apache-2.0

/// An editor of messages, as a machine without a terminal: keys in, a text and a cursor out.
package struct LineEditor {
    package enum Outcome: Equatable, Sendable {
        /// The message goes on; `rings` if the key could do nothing.
        case editing(rings: Bool)
        case submitted(String)
        /// Ctrl-C where there was nothing to discard.
        case interrupted
        /// Ctrl-D where there was nothing to delete.
        case ended
        case suspended, clearScreen
    }

    package private(set) var buffer = EditBuffer()
    package private(set) var history: History
    /// Which entry of the history is shown; as many as there are: the new message.
    private var shown: Int
    /// The new message while an entry is shown.
    private var draft = EditBuffer()

    /// Most bytes of a message.
    package static let longestText = 4 << 20

    package init(history: History = History()) {
        self.history = history
        shown = history.entries.count
    }

    /// Begins a new message.
    package mutating func reset() {
        (buffer, draft) = (EditBuffer(), EditBuffer())
        shown = history.entries.count
    }

    /// Adds a message to the history.
    /// - Returns: whether it is new there.
    package mutating func remember(_ message: String) -> Bool {
        let isNew = history.add(message)
        shown = history.entries.count
        return isNew
    }

    package mutating func handle(_ key: Key) -> Outcome {
        let before = buffer
        switch key {
        case .text(let text), .paste(let text): insert(text)
        case .newline: insert("\n")
        case .left: buffer.move(to: buffer.cursor - 1)
        case .right: buffer.move(to: buffer.cursor + 1)
        case .home: buffer.move(to: buffer.lineStart)
        case .end: buffer.move(to: buffer.lineEnd)
        case .wordLeft: buffer.move(to: buffer.wordStart)
        case .wordRight: buffer.move(to: buffer.wordEnd)
        case .up: if let place = buffer.above { buffer.move(to: place) } else { show(shown - 1) }
        case .down: if let place = buffer.below { buffer.move(to: place) } else { show(shown + 1) }
        case .deleteBack: buffer.delete(to: buffer.cursor - 1)
        case .deleteForward: buffer.delete(to: buffer.cursor + 1)
        case .deleteWordBack: buffer.delete(to: buffer.wordStart)
        case .deleteWordForward: buffer.delete(to: buffer.wordEnd)
        case .deleteToStart: buffer.delete(to: buffer.lineStart)
        // At the end of a line, the line break.
        case .deleteToEnd: buffer.delete(to: buffer.lineEnd == buffer.cursor ? buffer.cursor + 1 : buffer.lineEnd)
        case .enter: return enter()
        case .clearScreen: return .clearScreen
        case .suspend: return .suspended
        case .interrupt:
            if buffer.isEmpty { return .interrupted }
            reset()
        case .endOfInput:
            if buffer.isEmpty { return .ended }
            buffer.delete(to: buffer.cursor + 1)
        }
        return .editing(rings: buffer == before)
    }

    private mutating func insert(_ text: String) {
        guard buffer.characters.count + text.utf8.count <= Self.longestText else { return }
        buffer.insert(text)
    }

    /// Sends the message, or goes on in a new line if a backslash ends it.
    private mutating func enter() -> Outcome {
        if buffer.isAtEnd, buffer.characters.last == "\\" {
            buffer.delete(to: buffer.cursor - 1)
            buffer.insert("\n")
            return .editing(rings: false)
        }
        let text = buffer.text
        reset()
        return .submitted(text)
    }

    /// Shows an entry of the history, or the new message behind the last one.
    private mutating func show(_ entry: Int) {
        let entries = history.entries
        guard 0...entries.count ~= entry else { return }
        if shown == entries.count { draft = buffer }
        shown = entry
        buffer = entry == entries.count ? draft : EditBuffer(entries[entry])
    }
}
