// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Draws a message that is being edited: makes the bytes that a terminal needs, and remembers where its cursor is.
///
/// Rows are cut here and not by the terminal, so that this knows where each ends.
package struct EditorDisplay {
    /// Of the terminal, in characters.
    package var columns: Int
    package var rows: Int
    private let prompt: String
    private let promptWidth: Int
    /// The widths of the rows that are shown, and the cursor's place among them.
    private var widths: [Int] = [0]
    private var cursor = (row: 0, column: 0)

    /// - Parameter prompt: before the first line; those after it are indented as far.
    package init(prompt: String, columns: Int, rows: Int) {
        self.prompt = prompt
        promptWidth = prompt.reduce(0) { $0 + CharacterWidth.of($1) }
        (self.columns, self.rows) = (columns, rows)
    }

    /// Rows of a message, and where the cursor is.
    package struct Layout: Equatable, Sendable {
        package var rows: [String]
        package var widths: [Int]
        package var row = 0
        package var column = 0
    }

    /// O(count).
    package func layout(_ buffer: EditBuffer) -> Layout {
        // A terminal without room for the prompt and a wide character does without the prompt.
        let indent = promptWidth + 2 <= columns ? promptWidth : 0
        let space = String(repeating: " ", count: indent)
        var layout = Layout(rows: [indent > 0 ? prompt : ""], widths: [indent])
        func mark() { (layout.row, layout.column) = (layout.rows.count - 1, layout.widths.last!) }
        func beginRow(_ text: String, _ width: Int) {
            layout.rows.append(text)
            layout.widths.append(width)
        }
        for (place, character) in buffer.characters.enumerated() {
            let width = character == "\n" ? 0 : min(CharacterWidth.of(character), columns)
            if character != "\n", layout.widths.last! + width > columns { beginRow("", 0) }
            if place == buffer.cursor { mark() }
            if character == "\n" {
                beginRow(space, indent)
            } else {
                layout.rows[layout.rows.count - 1] += Self.shown(character, width)
                layout.widths[layout.widths.count - 1] += width
            }
        }
        if buffer.isAtEnd {
            // Behind the last column there is no place for a cursor.
            if layout.widths.last! >= columns { beginRow("", 0) }
            mark()
        }
        layout.column = min(layout.column, max(columns - 1, 0))
        return layout
    }

    private static func shown(_ character: Character, _ width: Int) -> String {
        if character == "\t" { return String(repeating: " ", count: width) }
        return character.unicodeScalars.contains { $0.isTerminalControl } ? "\u{FFFD}" : String(character)
    }

    /// Draws the message over what is shown of it.
    package mutating func draw(_ buffer: EditBuffer) -> String {
        let layout = layout(buffer)
        // Of more rows than the terminal has, those around the cursor.
        let height = max(rows, 1)
        let first = min(max(layout.row - height + 1, 0), max(layout.rows.count - height, 0))
        let window = first..<min(first + height, layout.rows.count)
        var output = toFirstRow() + "\u{1B}[J" + layout.rows[window].joined(separator: "\r\n")
        widths = Array(layout.widths[window])
        cursor = (layout.row - first, layout.column)
        output += Self.up(widths.count - 1 - cursor.row) + "\r"
        if cursor.column > 0 { output += "\u{1B}[\(cursor.column)C" }
        return output
    }

    /// Leaves the message as it is, the cursor below it.
    package mutating func finish(_ buffer: EditBuffer) -> String {
        var end = buffer
        end.move(to: buffer.characters.count)
        let output = draw(end) + "\r\n"
        forget()
        return output
    }

    /// Draws the message on an empty screen.
    package mutating func clearScreen(_ buffer: EditBuffer) -> String {
        forget()
        return "\u{1B}[H\u{1B}[2J" + draw(buffer)
    }

    /// Nothing is shown yet: the cursor is in the first column of an empty row.
    package mutating func forget() {
        widths = [0]
        cursor = (0, 0)
    }

    /// The terminal has another size; terminals break rows that are too wide for it.
    package mutating func resize(columns: Int, rows: Int) {
        let above = widths[..<cursor.row].reduce(0) { $0 + max(($1 + columns - 1) / max(columns, 1), 1) }
        cursor.row = above + cursor.column / max(columns, 1)
        widths = Array(repeating: 0, count: cursor.row + 1)
        (self.columns, self.rows) = (columns, rows)
    }

    private func toFirstRow() -> String { Self.up(cursor.row) + "\r" }

    private static func up(_ rows: Int) -> String { rows > 0 ? "\u{1B}[\(rows)A" : "" }
}
