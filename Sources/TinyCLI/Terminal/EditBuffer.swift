// SPDX-License-Identifier: Apache-2.0

/// A text and a place in it, counted in characters as readers see them: a letter and its accents are one.
package struct EditBuffer: Equatable, Sendable {
    package private(set) var characters: [Character] = []
    /// In `0...characters.count`.
    package private(set) var cursor = 0

    package init() {}

    /// With the cursor at the end.
    package init(_ text: String) {
        characters = Array(text)
        cursor = characters.count
    }

    package var text: String { String(characters) }
    package var isEmpty: Bool { characters.isEmpty }
    package var isAtEnd: Bool { cursor == characters.count }

    /// Inserts a text at the cursor. A combining mark joins the character before it. O(count).
    package mutating func insert(_ text: String) {
        let before = String(characters[..<cursor]) + text
        let rest = String(characters[cursor...])
        characters = Array(before + rest)
        // The end of the new text, or of the character that it is in.
        let size = before.utf8.count
        (cursor, _) = characters.reduce((0, 0)) { sum, character in
            sum.1 < size ? (sum.0 + 1, sum.1 + character.utf8.count) : sum
        }
    }

    package mutating func move(to place: Int) { cursor = min(max(place, 0), characters.count) }

    /// Deletes what is between the cursor and a place, where the cursor is then.
    package mutating func delete(to place: Int) {
        let place = min(max(place, 0), characters.count)
        let range = min(place, cursor)..<max(place, cursor)
        let before = String(characters[..<range.lowerBound])
        characters = Array(before + String(characters[range.upperBound...]))
        // A mark that has lost its letter joins the one before.
        cursor = min(range.lowerBound, characters.count)
    }

    // MARK: Places

    package var wordStart: Int {
        var place = cursor
        while place > 0, !isWord(place - 1) { place -= 1 }
        while place > 0, isWord(place - 1) { place -= 1 }
        return place
    }

    package var wordEnd: Int {
        var place = cursor
        while place < characters.count, !isWord(place) { place += 1 }
        while place < characters.count, isWord(place) { place += 1 }
        return place
    }

    private func isWord(_ place: Int) -> Bool { characters[place].isLetter || characters[place].isNumber }

    /// Of the line that the cursor is in.
    package var lineStart: Int { characters[..<cursor].lastIndex(of: "\n").map { $0 + 1 } ?? 0 }
    package var lineEnd: Int { characters[cursor...].firstIndex(of: "\n") ?? characters.count }

    /// The same column in the line above, or its end; nil in the first line.
    package var above: Int? {
        let start = lineStart
        guard start > 0 else { return nil }
        let other = characters[..<(start - 1)].lastIndex(of: "\n").map { $0 + 1 } ?? 0
        return min(other + cursor - start, start - 1)
    }

    /// The same column in the line below, or its end; nil in the last line.
    package var below: Int? {
        let end = lineEnd
        guard end < characters.count else { return nil }
        let other = characters[(end + 1)...].firstIndex(of: "\n") ?? characters.count
        return min(end + 1 + cursor - lineStart, other)
    }
}
