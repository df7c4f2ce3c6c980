// SPDX-License-Identifier: Apache-2.0

/// JSON as it is generated: RFC 8259, with bounds for white space and digits, so that a text cannot go on with them forever.
///
/// White space stands after opening brackets and commas and before closing brackets: nothing, a space, or a line break and
/// at most 20 spaces. After colons there can be a space.
enum JSONText {
    /// Digits of a whole number, of the fraction of a number, and of its exponent.
    static let integerDigits = 16, fractionDigits = 15, exponentDigits = 2

    static let space = Pattern.alternatives([
        .optional(.text(" ")),
        .sequence([.text("\n"), .repeated(.text(" "), minimum: 0, maximum: 20)]),
    ])

    static let colon = Pattern.sequence([.text(":"), .optional(.text(" "))])

    static let integer = Pattern.sequence([.optional(.text("-")), natural])

    static let number = Pattern.sequence([
        integer, .optional(.sequence([.text("."), .repeated(.digit, minimum: 1, maximum: fractionDigits)])),
        .optional(
            .sequence([
                .character("eE"), .optional(.character("+-")),
                .repeated(.digit, minimum: 1, maximum: exponentDigits),
            ])),
    ])

    private static let natural = Pattern.alternatives([
        .text("0"),
        .sequence([
            .scalar(ScalarSet([0x31...0x39])), .repeated(.digit, minimum: 0, maximum: integerDigits - 1),
        ]),
    ])

    // MARK: - Strings

    private static let hexDigit = ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
    /// What has to be escaped in a string: quotation mark, backslash, controls.
    private static let special = ScalarSet([0x00...0x1F, 0x22...0x22, 0x5C...0x5C])
    private static let shortEscapes: [(code: UInt32, letter: String)] = [
        (0x08, "b"), (0x09, "t"), (0x0A, "n"), (0x0C, "f"), (0x0D, "r"), (0x22, "\""), (0x5C, "\\"),
    ]

    /// A character of a string, in any spelling but as a pair of surrogates: one each counts for the length.
    static let character = Pattern.alternatives([
        .scalar(special.inverted),
        .sequence([.text("\\"), .character("\"\\/bfnrt")]),
        .sequence([
            .text("\\u"),
            .alternatives([
                .sequence([
                    .scalar(hexDigit.subtracting(ScalarSet(of: "dD"))), .scalar(hexDigit),
                ]),
                .sequence([.character("dD"), .scalar(ScalarSet([0x30...0x37]))]),
            ]),
            .scalar(hexDigit), .scalar(hexDigit),
        ]),
    ])

    /// A pattern of text as it is written between the quotation marks of a string: what has to be escaped is, and nothing
    /// else. Bytes and rules stay: they are JSON already.
    static func escaped(_ pattern: Pattern) -> Pattern {
        switch pattern {
        case .bytes, .rule: pattern
        case .scalar(let set): escaped(set)
        case .sequence(let parts): .sequence(parts.map { escaped($0) })
        case .alternatives(let parts): .alternatives(parts.map { escaped($0) })
        case .repeated(let part, let minimum, let maximum):
            .repeated(escaped(part), minimum: minimum, maximum: maximum)
        }
    }

    static func escaped(_ set: ScalarSet) -> Pattern {
        let plain = Pattern.scalar(set.subtracting(special))
        let codes = set.intersection(special).ranges.flatMap { Array($0) }
        return codes.isEmpty ? plain : .alternatives([plain] + codes.map { escape($0) })
    }

    private static func escape(_ code: UInt32) -> Pattern {
        if let short = shortEscapes.first(where: { $0.code == code }) { return .text("\\" + short.letter) }
        return .text("\\u00" + (code < 0x10 ? "0" : "") + String(code, radix: 16))
    }
}
