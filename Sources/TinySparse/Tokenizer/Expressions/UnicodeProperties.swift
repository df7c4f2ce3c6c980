// SPDX-License-Identifier: Apache-2.0

// The properties that regular expressions name.
// Source: Unicode 15.1, UnicodeData.txt, PropList.txt and Scripts.txt.

extension CharacterClass {
    /// The number of a code point's general category, from 0 to 29 in the order of `CodePointSet.categories`.
    static func category(_ code: UInt32) -> UInt8 {
        guard let category = properties(code)?.generalCategory else {
            return 0xD800...0xDFFF ~= code ? 27 : 29
        }
        return switch category {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        case .unassigned: 29
        @unknown default: 29
        }
    }
}

extension CodePointSet {
    private static let categories = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
    ]

    /// The long names of the large categories.
    private static let longNames = [
        ("letter", "L"), ("mark", "M"), ("number", "N"), ("punctuation", "P"), ("symbol", "S"), ("separator", "Z"),
        ("other", "C"),
    ]

    /// The set that `\p{name}` stands for; nil for an unknown one. Letter case, spaces, hyphens and underscores do not
    /// count.
    static func property(_ name: String) -> CodePointSet? {
        let plain = name.lowercased().filter { !" _-".contains($0) }
        let short = longNames.first { $0.0 == plain }?.1.lowercased() ?? plain
        let category = categories.enumerated().reduce(UInt32(0)) { bits, entry in
            entry.element.lowercased().hasPrefix(short) ? bits | 1 << UInt32(entry.offset) : bits
        }
        if category != 0, !short.isEmpty { return CodePointSet(categories: category) }
        return switch plain {
        case "any": .all
        case "space", "whitespace": whiteSpace
        case "digit": digits
        case "word": word
        case "punct": CodePointSet(categories: 0x3F800).union(CodePointSet(asciiSymbols))
        case "han": han
        case "hiragana":
            CodePointSet([
                0x3041...0x3096, 0x309D...0x309F, 0x1B001...0x1B11F, 0x1B132...0x1B132,
                0x1B150...0x1B152, 0x1F200...0x1F200,
            ])
        case "katakana":
            CodePointSet([
                0x30A1...0x30FA, 0x30FD...0x30FF, 0x31F0...0x31FF, 0x32D0...0x32FE,
                0x3300...0x3357, 0xFF66...0xFF6F, 0xFF71...0xFF9D, 0x1AFF0...0x1AFF3, 0x1AFF5...0x1AFFB,
                0x1AFFD...0x1AFFE,
                0x1B000...0x1B000, 0x1B120...0x1B122, 0x1B155...0x1B155, 0x1B164...0x1B167,
            ])
        case "hangul":
            CodePointSet([
                0x1100...0x11FF, 0x302E...0x302F, 0x3131...0x318E, 0x3200...0x321E, 0x3260...0x327E,
                0xA960...0xA97C, 0xAC00...0xD7A3, 0xD7B0...0xD7C6, 0xD7CB...0xD7FB, 0xFFA0...0xFFBE, 0xFFC2...0xFFC7,
                0xFFCA...0xFFCF, 0xFFD2...0xFFD7, 0xFFDA...0xFFDC,
            ])
        case "thai": CodePointSet([0xE01...0xE3A, 0xE40...0xE5B])
        default: nil
        }
    }

    /// White_Space: all separators and six controls.
    static let whiteSpace = CodePointSet(categories: 0x1C00000).union(CodePointSet([0x09...0x0D, 0x85...0x85]))
    static let digits = CodePointSet(categories: 1 << 8)
    /// What Oniguruma has as a character of a word: letters, also in circles, marks, digits, connector punctuation, and
    /// of other numbers those of Latin-1.
    static let word = CodePointSet(categories: 0xBFF).union(
        CodePointSet([
            0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE, 0x24B6...0x24E9, 0x1F130...0x1F149, 0x1F150...0x1F169,
            0x1F170...0x1F189,
        ]))
    private static let asciiSymbols: [ClosedRange<UInt32>] = [
        0x24...0x24, 0x2B...0x2B, 0x3C...0x3E, 0x5E...0x5E, 0x60...0x60, 0x7C...0x7C, 0x7E...0x7E,
    ]
    /// The script Han.
    static let han = CodePointSet([
        0x2E80...0x2E99, 0x2E9B...0x2EF3, 0x2F00...0x2FD5, 0x3005...0x3005, 0x3007...0x3007, 0x3021...0x3029,
        0x3038...0x303B, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFA6D, 0xFA70...0xFAD9, 0x16FE2...0x16FE3,
        0x16FF0...0x16FF1, 0x20000...0x2A6DF, 0x2A700...0x2B739, 0x2B740...0x2B81D, 0x2B820...0x2CEA1,
        0x2CEB0...0x2EBE0, 0x2EBF0...0x2EE5D, 0x2F800...0x2FA1D, 0x30000...0x3134A, 0x31350...0x323AF,
    ])
}
