// SPDX-License-Identifier: Apache-2.0

/// What the pre-tokenizers know about a character. The classes exclude each other.
enum CharacterClass {
    /// \p{L}
    case letter
    /// \p{N}
    case number
    /// \s
    case space
    /// Everything else, unassigned code points and lone surrogates included.
    case other
    /// There is no character: the end of the text.
    case end

    /// The class of a code point, by the standard library's Unicode tables. Any `UInt32` is
    /// allowed.
    init(_ code: UInt32) {
        guard let properties = Self.properties(code) else {
            self = .other
            return
        }
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            self = .letter
        case .decimalNumber, .letterNumber, .otherNumber: self = .number
        case .spaceSeparator, .lineSeparator, .paragraphSeparator, .control:
            self = properties.isWhitespace ? .space : .other
        default: self = .other
        }
    }

    @inline(__always)
    init(ascii byte: UInt8) {
        if (byte | 0x20) &- 0x61 < 26 {
            self = .letter
        } else if byte &- 0x30 < 10 {
            self = .number
        } else if byte == 0x20 || byte &- 0x09 < 5 {
            self = .space
        } else {
            self = .other
        }
    }

    /// The properties of a code point that was assigned in Unicode 15.1, the version of llama.cpp's
    /// tables; nil for others, which are `other` there. The tables differ in nothing else.
    static func properties(_ code: UInt32) -> Unicode.Scalar.Properties? {
        guard let properties = Unicode.Scalar(code)?.properties, let age = properties.age,
            age.major < 16
        else { return nil }
        return properties
    }

    /// Whether a code point is punctuation, \p{P}.
    static func isPunctuation(_ code: UInt32) -> Bool {
        switch properties(code)?.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
            .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            true
        default: false
        }
    }
}

/// Text that has passed `repaired`: every character is complete, so that reading one never leaves
/// the buffer.
extension UnsafeBufferPointer<UInt8> {
    /// The class and length in bytes of the character at `position`, which may be `end`.
    @inline(__always)
    func classify(_ position: Int, _ end: Int) -> (class: CharacterClass, length: Int) {
        guard position < end else { return (.end, 0) }
        let byte = self[position]
        if byte < 0x80 { return (CharacterClass(ascii: byte), 1) }
        let (code, length) = wide(position)
        return (CharacterClass(code), length)
    }

    /// The code point of two or more bytes at `position`.
    func wide(_ position: Int) -> (code: UInt32, length: Int) {
        let byte = UInt32(self[position])
        let tail = { UInt32(self[position + $0] & 0x3F) }
        if byte < 0xE0 { return ((byte & 0x1F) << 6 | tail(1), 2) }
        if byte < 0xF0 { return ((byte & 0x0F) << 12 | tail(1) << 6 | tail(2), 3) }
        return ((byte & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4)
    }
}
