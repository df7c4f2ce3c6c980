// SPDX-License-Identifier: Apache-2.0

/// A position in a template's source, and what can be read there.
struct Scanner {
    static let minus = UInt32(UInt8(ascii: "-"))
    private static let plus = UInt32(UInt8(ascii: "+"))

    /// The source with "\n" as its only line break, without one at its end.
    let scalars: [Scalar]
    var position = 0
    /// The line of the position that was asked for last.
    private var known = (position: 0, line: 1)

    init(_ source: String) {
        var scalars: [Scalar] = []
        var follows = false
        for scalar in source.unicodeScalars {
            if scalar != "\n" || !follows { scalars.append(Scalar(scalar == "\r" ? 0x0A : scalar.value)) }
            follows = scalar == "\r"
        }
        if scalars.last?.code == 0x0A { scalars.removeLast() }
        self.scalars = scalars
    }

    var isAtEnd: Bool { position >= scalars.count }
    var next: UInt32? { position < scalars.count ? scalars[position].code : nil }

    var line: Int { mutating get { line(at: position) } }

    /// The line of a position, counted on from the last one asked for.
    mutating func line(at position: Int) -> Int {
        let range = min(known.position, position)..<max(known.position, position)
        let breaks = scalars[range].reduce(0) { $0 + ($1.code == 0x0A ? 1 : 0) }
        known = (position, known.line + (position < known.position ? -breaks : breaks))
        return known.line
    }

    func peek(_ text: StaticString, at offset: Int = 0) -> Bool {
        for index in 0..<text.utf8CodeUnitCount {
            let place = position + offset + index
            guard place < scalars.count, scalars[place].code == UInt32(text.utf8Start[index]) else { return false }
        }
        return true
    }

    mutating func skipSpace() { while position < scalars.count, scalars[position].isSpace { position += 1 } }

    // MARK: Tags

    /// Reads "{%", "{{" or "{#" and the sign after it.
    mutating func readOpening() -> UInt32? {
        position += 2
        guard let sign = next, sign == Self.minus || sign == Self.plus else { return nil }
        position += 1
        return sign
    }

    /// Reads a word with white space around it.
    mutating func readWord(_ word: StaticString) -> Bool {
        skipSpace()
        guard peek(word) else { return false }
        position += word.utf8CodeUnitCount
        skipSpace()
        return true
    }

    /// Reads the end of a tag that begins raw text.
    mutating func readRawEnd() -> Bool { readTagEnd("%}", hasPlus: false, trims: false) != nil }

    func isTagEnd(_ end: StaticString, hasPlus: Bool) -> Bool {
        peek(end) || next == Self.minus && peek(end, at: 1) || hasPlus && next == Self.plus && peek(end, at: 1)
    }

    /// Reads the end of a tag, if it is here, and the white space that belongs to it.
    /// - Returns: Whether a line ended with it; nil if the tag goes on.
    mutating func readTagEnd(_ end: StaticString, hasPlus: Bool, trims: Bool) -> Bool? {
        guard isTagEnd(end, hasPlus: hasPlus) else { return nil }
        let sign = peek(end) ? nil : next
        position += sign == nil ? 2 : 3
        if sign == Self.minus {
            skipSpace()
        } else if sign == nil, trims, next == 0x0A {
            position += 1
        }
        return scalars[position - 1].code == 0x0A
    }
}
