// SPDX-License-Identifier: Apache-2.0

import TinySupport

// What a backslash makes of the character after it: ECMA-262, 22.2.1 and 22.2.2.9.

extension ScalarSet {
    static let lineBreaks = ScalarSet([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029])
    static let digits = ScalarSet([0x30...0x39])
    static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let whiteSpace = ScalarSet([
        0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
    ])
}

extension RegexParser {
    /// An escape, and the code if it stands for a single character.
    mutating func escape(inSet: Bool) throws(ConstraintError) -> (set: ScalarSet, code: UInt32?) {
        let start = scanner.position
        _ = scanner.next()
        guard let scalar = scanner.next() else { throw scanner.error("nothing after the '\\'", at: start) }
        let code: UInt32
        switch scalar {
        case "d": return (.digits, nil)
        case "D": return (ScalarSet.digits.inverted, nil)
        case "w": return (.wordCharacters, nil)
        case "W": return (ScalarSet.wordCharacters.inverted, nil)
        case "s": return (.whiteSpace, nil)
        case "S": return (ScalarSet.whiteSpace.inverted, nil)
        case "t": code = 0x09
        case "n": code = 0x0A
        case "v": code = 0x0B
        case "f": code = 0x0C
        case "r": code = 0x0D
        case "b" where inSet: code = 0x08
        case "x": code = try scanner.hexadecimal(2)
        case "u": code = try unicodeEscape()
        default:
            // Letters and digits are other things, or nothing yet: references, boundaries, properties.
            guard scalar.isASCII, scalar.value > 0x20, !ScalarSet.wordCharacters.contains(scalar.value) else {
                throw scanner.error("the escape '\\\(printable(String(scalar)))' is not supported", at: start)
            }
            code = scalar.value
        }
        return (ScalarSet(code), code)
    }

    /// `\u00e9`, `\u{1F600}`, or the surrogates of one character, `\uD83D\uDE00`.
    private mutating func unicodeEscape() throws(ConstraintError) -> UInt32 {
        let start = scanner.position
        if scanner.skip("{") {
            let digits = scanner.take { $0.properties.isASCIIHexDigit }
            guard let code = UInt32(digits, radix: 16), Unicode.Scalar(code) != nil, scanner.skip("}") else {
                throw scanner.error("the hexadecimal code of a character and a '}' are needed", at: start)
            }
            return code
        }
        let high = try scanner.hexadecimalDigits(4)
        guard 0xD800..<0xDC00 ~= high, scanner.skip("\\u") else { return try scanner.checked(high, at: start) }
        let low = try scanner.hexadecimalDigits(4)
        guard 0xDC00..<0xE000 ~= low else { throw scanner.error("no character has this code", at: start) }
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
    }
}
