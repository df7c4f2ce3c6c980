// SPDX-License-Identifier: Apache-2.0

import TinyTerminal
import XCTest

/// The editor of chat, without a terminal.
final class LineEditorTests: XCTestCase {
    /// Feeds bytes and returns what came of them.
    private func type(_ bytes: some Sequence<UInt8>, _ editor: inout LineEditor) -> [LineEditor.Outcome] {
        var parser = KeyParser()
        return bytes.compactMap { parser.feed($0) }.map { editor.handle($0) }
    }

    /// The text that some typing leaves, with "|" for the cursor.
    private func edited(_ typed: String) -> String {
        var editor = LineEditor()
        _ = type(typed.utf8, &editor)
        let buffer = editor.buffer
        return String(buffer.characters[..<buffer.cursor]) + "|" + String(buffer.characters[buffer.cursor...])
    }

    func testKeys() {
        for (typed, expected) in [
            ("abc", "abc|"), ("abc\u{02}X", "abX|c"), ("abc\u{1B}[D\u{1B}OD\u{7F}", "|bc"), ("abc\u{01}\u{04}", "|bc"),
            ("abc\u{01}\u{1B}[3~\u{1B}[F!", "bc!|"), ("abc\u{1B}[H>\u{1B}[4~<", ">abc<|"),
            ("one two\u{17}", "one |"), ("one two \u{1B}\u{7F}", "one |"), ("one two\u{1B}b\u{0B}", "one |"),
            ("one two\u{1B}[1;5D\u{15}", "|two"), ("one two\u{01}\u{1B}f!", "one!| two"),
            ("one two\u{01}\u{1B}d", "| two"), ("one two\u{01}\u{1B}[1;3C\u{1B}[3;5~", "one|"),
            ("a\nb\u{1B}\rc", "a\nb\nc|"), ("a\u{1B}[13;2ub\u{1B}[27;2;13~c", "a\nb\nc|"), ("a\\\rb", "a\nb|"),
            ("ab\ncd\u{1B}[A!", "ab!|\ncd"), ("abc\nd\u{1B}[A\u{01}\u{1B}[B!", "abc\n!|d"),
            ("a\nb\u{01}\u{7F}", "a|b"), ("a\nb\u{1B}[A\u{0B}", "a|b"),
            // Characters as readers see them.
            ("e\u{301}x\u{7F}\u{7F}", "|"), ("ex\u{02}\u{301}", "e\u{301}|x"), ("日本\u{02}語", "日語|本"),
            ("👩‍👩‍👧\u{7F}", "|"),
            // Pastes keep their lines; of controls, tabs.
            ("\u{1B}[200~a\rb\r\nc\n\t\u{03}\u{1B}[Ad\u{1B}[201~!", "a\nb\nc\n\t[Ad!|"),
            // What is unknown does nothing.
            ("a\u{1B}[99;99;99xb\u{1B}zc\u{00}\u{1C}\u{1B}[1$", "abc|"), ("ab\u{03}c", "c|"),
        ] {
            XCTAssertEqual(edited(typed), expected, typed.debugDescription)
        }
    }

    func testMessages() {
        var editor = LineEditor()
        XCTAssertEqual(type("hello\r".utf8, &editor).last, .submitted("hello"))
        XCTAssertEqual(type([3], &editor), [.interrupted])
        XCTAssertEqual(type([4], &editor), [.ended])
        XCTAssertEqual(type("ab\u{02}\u{04}\u{01}\u{04}\u{04}".utf8, &editor).last, .ended)
        XCTAssertEqual(type([0x7F], &editor), [.editing(rings: true)])
        XCTAssertEqual(type([26], &editor), [.suspended])
        XCTAssertEqual(type([12], &editor), [.clearScreen])
    }

    func testHistory() {
        var history = History()
        XCTAssertTrue(history.add("one"))
        XCTAssertTrue(history.add("two\nlines\\n"))
        XCTAssertFalse(history.add("two\nlines\\n"))
        XCTAssertFalse(history.add(""))
        XCTAssertFalse(history.add(String(repeating: "x", count: History.longestEntry + 1)))
        let file = history.entries.map(History.line).joined()
        XCTAssertEqual(file, "one\ntwo\\nlines\\\\n\n")
        XCTAssertEqual(History(file: Array(file.utf8)), history)
        XCTAssertEqual(History(file: [0xFF, 10, 0x1B, 0x5B, 10, 92]).entries, ["\u{FFFD}", "["])

        var editor = LineEditor(history: history)
        func shown(_ typed: String) -> String {
            _ = type(typed.utf8, &editor)
            return editor.buffer.text
        }
        XCTAssertEqual(shown("new\u{1B}[A"), "two\nlines\\n")
        XCTAssertEqual(shown("\u{1B}[A\u{1B}[A"), "one")
        XCTAssertEqual(shown("\u{1B}[A"), "one")
        XCTAssertEqual(shown("\u{1B}[B\u{1B}[B"), "new")
        XCTAssertEqual(shown("\u{1B}[B"), "new")
        for number in 0..<2 * History.limit { XCTAssertTrue(editor.remember("\(number)")) }
        XCTAssertEqual(editor.history.entries.count, History.limit)
    }

    func testWidths() {
        for (character, width) in [
            ("a", 1), ("é", 1), ("e\u{301}", 1), ("日", 2), ("한", 2), ("ｆ", 2), ("😀", 2), ("👩‍👩‍👧", 2), ("🇩🇪", 2),
            ("\u{301}", 0), ("❤️", 2), ("─", 1), ("Ж", 1), ("ก", 1), ("\u{200B}", 0), ("\u{3FFFD}", 1),
        ] as [(Character, Int)] {
            XCTAssertEqual(CharacterWidth.of(character), width, "\(character.unicodeScalars.map { $0.value })")
        }
    }

    func testLayout() {
        let display = EditorDisplay(prompt: "> ", columns: 6, rows: 10)
        func rows(_ text: String, _ cursor: Int) -> ([String], row: Int, column: Int) {
            var buffer = EditBuffer(text)
            buffer.move(to: cursor)
            let layout = display.layout(buffer)
            return (layout.rows, layout.row, layout.column)
        }
        for (text, cursor, expected, row, column) in [
            ("", 0, ["> "], 0, 2), ("abc", 3, ["> abc"], 0, 5), ("abcd", 4, ["> abcd", ""], 1, 0),
            ("abcde", 4, ["> abcd", "e"], 1, 0), ("abc日", 4, ["> abc", "日"], 1, 2), ("abc日", 3, ["> abc", "日"], 1, 0),
            ("a\nb", 2, ["> a", "  b"], 1, 2), ("a\nb", 1, ["> a", "  b"], 0, 3),
            ("abcd\n", 5, ["> abcd", "  "], 1, 2),
            ("a\tb", 3, ["> a", "    b"], 1, 5),
        ] {
            let got = rows(text, cursor)
            XCTAssertEqual(got.0, expected, text)
            XCTAssertEqual([got.row, got.column], [row, column], text)
        }
    }

    /// Drawn on a terminal, every edit leaves what drawing it at once would.
    func testDrawing() {
        var random = TestRandom(state: 5)
        for columns in [1, 2, 3, 7, 20] {
            var editor = LineEditor()
            var display = EditorDisplay(prompt: "> ", columns: columns, rows: 40)
            var screen = Screen(columns: columns)
            let keys: [Key] = [
                .text("a"), .text("日"), .text("\u{301}"), .text("x"), .left, .left, .right, .deleteBack, .home,
                .newline,
                .paste("a long line\nand more"), .up, .down, .deleteToEnd, .end,
            ]
            for _ in 0..<300 {
                _ = editor.handle(keys[Int(random.next() % UInt64(keys.count))])
                if editor.buffer.characters.count > 40 { editor.reset() }
                let layout = display.layout(editor.buffer)
                screen.write(display.draw(editor.buffer))
                guard layout.rows.count <= 40 else { continue }
                XCTAssertEqual(screen.rows, layout.rows.map { Array($0.unicodeScalars) }, "\(columns)")
                XCTAssertEqual([screen.row, screen.column], [layout.row, layout.column], "\(columns)")
            }
        }
    }

    /// No bytes crash it or leave the cursor outside the text.
    func testRandomBytes() {
        var random = TestRandom(state: 7)
        let pieces = ["\u{1B}[", "\u{1B}", "\u{1B}O", "~", ";5", "200~", "\u{1B}[201~", "日", "\u{301}", "\\\r", "abc"]
        for _ in 0..<300 {
            var editor = LineEditor(
                history: History(file: (0..<50).map { _ in UInt8(truncatingIfNeeded: random.next()) }))
            var display = EditorDisplay(
                prompt: "> ", columns: Int(random.next() % 12) + 1, rows: Int(random.next() % 4) + 1)
            var parser = KeyParser()
            for _ in 0..<60 {
                let isPiece = random.next() % 3 == 0
                let bytes =
                    isPiece
                    ? Array(pieces[Int(random.next() % UInt64(pieces.count))].utf8)
                    : [UInt8(truncatingIfNeeded: random.next())]
                for byte in bytes { if let key = parser.feed(byte) { _ = editor.handle(key) } }
                if random.next() % 20 == 0 { parser.flush() }
                if random.next() % 20 == 0 { display.resize(columns: Int(random.next() % 12) + 1, rows: 2) }
                let layout = display.layout(editor.buffer)
                XCTAssert(0...editor.buffer.characters.count ~= editor.buffer.cursor)
                XCTAssert(layout.widths.allSatisfy { $0 <= display.columns } && layout.column < display.columns)
                XCTAssertEqual(EditBuffer(editor.buffer.text).characters, editor.buffer.characters)
                XCTAssertFalse(
                    display.draw(editor.buffer).unicodeScalars.contains { $0.value == 7 || $0.value == 0x9B })
            }
        }
    }
}

/// A terminal that knows what the editor writes.
private struct Screen {
    let columns: Int
    /// Scalars and not characters: marks join what is before them on a terminal, too.
    private(set) var rows: [[Unicode.Scalar]] = [[]]
    private(set) var row = 0
    private(set) var column = 0

    init(columns: Int) { self.columns = columns }

    mutating func write(_ text: String) {
        var rest = Array(text.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\r": column = 0
            case "\n":
                row += 1
                if row == rows.count { rows.append([]) }
            case "\u{1B}":
                XCTAssertEqual(rest.popFirst(), "[")
                let number = rest.prefix { ("0"..."9").contains($0) }
                rest = rest.dropFirst(number.count)
                let count = Int(String(String.UnicodeScalarView(number))) ?? 1
                switch rest.popFirst() {
                case "A": row -= count
                case "C": column += count
                case "J":
                    XCTAssertEqual(column, 0)
                    rows.removeLast(rows.count - row)
                    rows.append([])
                default: XCTFail("an unknown sequence")
                }
                XCTAssert(row >= 0)
            // The editor writes rows from their beginnings.
            default: rows[row].append(scalar)
            }
        }
    }
}
