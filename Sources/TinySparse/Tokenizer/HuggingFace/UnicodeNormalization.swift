// SPDX-License-Identifier: Apache-2.0

/// The normalization forms NFD and NFC, NFKD and NFKC.
///
/// Source: Unicode Standard Annex 15 and chapter 3.12 of the standard (Hangul). Linear in the text, but for runs of
/// combining marks, which are sorted.
struct UnicodeNormalization: Sendable {
    /// NFD and NFC.
    static let canonical = UnicodeNormalization(isCompatible: false)
    /// NFKD and NFKC.
    static let compatible = UnicodeNormalization(isCompatible: true)

    /// What a character decomposes into in one step; the second part is 0 if there is only one.
    private var decompositions: [UInt32: (UInt32, UInt32)] = [:]
    private var compositions: [UInt64: UInt32] = [:]
    private var combiningClasses: [UInt32: UInt8] = [:]
    /// What characters decompose into that are not the same; only for the compatible forms.
    private var compatible: [UInt32: [UInt32]] = [:]

    private init(isCompatible: Bool) {
        var code: UInt32 = 0
        Self.forEachEntry(UnicodeTables.decompositions) { numbers, composes in
            code += numbers[0]
            let parts = (numbers[1], numbers.count > 2 ? numbers[2] : 0)
            decompositions[code] = parts
            if composes { compositions[Self.key(parts.0, parts.1)] = code }
        }
        code = 0
        Self.forEachEntry(UnicodeTables.combiningClasses) { numbers, _ in
            code += numbers[0]
            for offset in 0..<numbers[1] { combiningClasses[code + offset] = UInt8(numbers[2]) }
        }
        guard isCompatible else { return }
        code = 0
        Self.forEachEntry(CompatibilityTable.decompositions) { numbers, _ in
            code += numbers[0]
            compatible[code] = Array(numbers.dropFirst())
        }
    }

    /// The entries of a table: their numbers, and whether there is an equals sign among them.
    private static func forEachEntry(_ table: StaticString, _ body: ([UInt32], Bool) -> Void) {
        var numbers: [UInt32] = [0]
        var composes = false
        for byte in UnsafeBufferPointer(start: table.utf8Start, count: table.utf8CodeUnitCount) {
            switch byte {
            case UInt8(ascii: " "):
                body(numbers, composes)
                numbers = [0]
                composes = false
            case UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: ","):
                composes = composes || byte == UInt8(ascii: "=")
                numbers.append(0)
            default:
                let digit = byte < 0x3A ? byte - 0x30 : byte - 0x61 + 10
                numbers[numbers.count - 1] = numbers[numbers.count - 1] * 36 + UInt32(digit)
            }
        }
        body(numbers, composes)
    }

    private static func key(_ first: UInt32, _ second: UInt32) -> UInt64 { UInt64(first) << 32 | UInt64(second) }

    /// The normal form of a text that has passed `UTF8Repair`.
    func normalized(_ text: [UInt8], composing: Bool) -> [UInt8] {
        // No character below U+0300 changes in NFC, and none below U+0080 in the other forms.
        let limit: UInt8 = composing && compatible.isEmpty ? 0xCC : 0x80
        guard text.contains(where: { $0 >= limit }) else { return text }
        var characters = decomposed(text)
        sortMarks(&characters)
        if composing { compose(&characters) }
        var out: [UInt8] = []
        out.reserveCapacity(text.count + 16)
        for character in characters { UTF8Repair.append(character, to: &out) }
        return out
    }

    private func decomposed(_ text: [UInt8]) -> [UInt32] {
        var out: [UInt32] = []
        out.reserveCapacity(text.count)
        text.withUnsafeBufferPointer { text in
            var position = 0
            while position < text.count {
                if text[position] < 0x80 {
                    out.append(UInt32(text[position]))
                    position += 1
                } else {
                    let (code, length) = text.wide(position)
                    decompose(code, into: &out)
                    position += length
                }
            }
        }
        return out
    }

    private func decompose(_ code: UInt32, into out: inout [UInt32]) {
        if let syllable = Hangul.index(ofSyllable: code) {
            out.append(Hangul.firstLead + syllable / (Hangul.vowels * Hangul.tails))
            out.append(Hangul.firstVowel + syllable / Hangul.tails % Hangul.vowels)
            if syllable % Hangul.tails > 0 { out.append(Hangul.beforeTails + syllable % Hangul.tails) }
        } else if let parts = compatible[code] {
            for part in parts { decompose(part, into: &out) }
        } else if let (first, second) = decompositions[code] {
            decompose(first, into: &out)
            if second != 0 { out.append(second) }
        } else {
            out.append(code)
        }
    }

    private func combiningClass(_ code: UInt32) -> UInt8 { code < 0x300 ? 0 : combiningClasses[code] ?? 0 }

    /// Brings each run of combining marks into the order of their classes; marks of one class keep theirs.
    private func sortMarks(_ characters: inout [UInt32]) {
        var start = 0
        while start < characters.count {
            guard combiningClass(characters[start]) != 0 else {
                start += 1
                continue
            }
            var marks: [(class: UInt8, position: Int, code: UInt32)] = []
            var end = start
            while end < characters.count, combiningClass(characters[end]) != 0 {
                marks.append((combiningClass(characters[end]), end, characters[end]))
                end += 1
            }
            marks.sort { ($0.class, $0.position) < ($1.class, $1.position) }
            for (offset, mark) in marks.enumerated() { characters[start + offset] = mark.code }
            start = end
        }
    }

    /// Joins each starter with the characters after it that are not blocked.
    private func compose(_ characters: inout [UInt32]) {
        var count = 0
        var starter: Int?
        /// The class of the last character kept since the starter.
        var lastClass: UInt8 = 0
        for code in characters {
            let thisClass = combiningClass(code)
            if let starter, starter == count - 1 || (lastClass < thisClass && lastClass != 0),
                let joined = composition(characters[starter], code)
            {
                characters[starter] = joined
                continue
            }
            if thisClass == 0 { starter = count }
            lastClass = thisClass
            characters[count] = code
            count += 1
        }
        characters.removeLast(characters.count - count)
    }

    private func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if first &- Hangul.firstLead < Hangul.leads, second &- Hangul.firstVowel < Hangul.vowels {
            let lead = first - Hangul.firstLead
            return Hangul.firstSyllable + (lead * Hangul.vowels + second - Hangul.firstVowel) * Hangul.tails
        }
        if let syllable = Hangul.index(ofSyllable: first), syllable % Hangul.tails == 0,
            1..<Hangul.tails ~= second &- Hangul.beforeTails
        {
            return first + second - Hangul.beforeTails
        }
        return compositions[Self.key(first, second)]
    }
}

/// The arithmetic of Hangul syllables.
private enum Hangul {
    static let firstSyllable: UInt32 = 0xAC00
    static let firstLead: UInt32 = 0x1100
    static let firstVowel: UInt32 = 0x1161
    static let beforeTails: UInt32 = 0x11A7
    static let leads: UInt32 = 19
    static let vowels: UInt32 = 21
    /// Including that there is none.
    static let tails: UInt32 = 28

    static func index(ofSyllable code: UInt32) -> UInt32? {
        let index = code &- firstSyllable
        return index < leads * vowels * tails ? index : nil
    }
}
