// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The steps of a section of a `tokenizer.json`: those of a `Sequence`, which has them under `key`, or the only one; none
/// for null.
func flattened(_ json: JSON?, _ key: String) -> [JSON] {
    guard let json, !json.isNull else { return [] }
    guard json["type"]?.string == "Sequence" else { return [json] }
    return (json[key]?.array ?? []).flatMap { flattened($0, key) }
}

/// A change of the text before it is cut into words: a step of `normalizer` in `tokenizer.json`.
enum Normalizer: Sendable {
    case canonical(composing: Bool)
    case compatible(composing: Bool)
    case lowercase
    case stripAccents
    case strip(left: Bool, right: Bool)
    case replace([UInt8], by: [UInt8])
    case replaceMatches(RegularExpression, by: [UInt8])
    case prepend([UInt8])
    case map(CharacterMap)
    case byteAlphabet
    case cleanUp

    private static let supported =
        "NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Precompiled, Nmt, ByteLevel, and a Sequence of these"

    /// The steps of a normalizer; none for null.
    /// - Throws: `unsupportedSetting` naming what is not known.
    static func steps(_ json: JSON?) throws(TokenizerError) -> [Normalizer] {
        try flattened(json, "normalizers").map { (step) throws(TokenizerError) in try Normalizer(step) }
    }

    private init(_ json: JSON) throws(TokenizerError) {
        let type = json["type"]?.string ?? "unnamed"
        switch type {
        case "NFC": self = .canonical(composing: true)
        case "NFD": self = .canonical(composing: false)
        case "NFKC": self = .compatible(composing: true)
        case "NFKD": self = .compatible(composing: false)
        case "Lowercase": self = .lowercase
        case "StripAccents": self = .stripAccents
        case "Strip":
            self = .strip(left: json["strip_left"]?.bool ?? true, right: json["strip_right"]?.bool ?? true)
        case "Prepend":
            self = .prepend(Array((json["prepend"]?.string ?? "").utf8))
        case "Replace": self = try Self.replacement(json)
        case "Precompiled":
            let text = json["precompiled_charsmap"]?.string ?? ""
            // Without a map, nothing is replaced.
            guard let bytes = Self.base64(text) else {
                throw .malformedFile("the precompiled map of characters is not base64; the file is damaged")
            }
            self = bytes.isEmpty ? .replace([0], by: [0]) : .map(try CharacterMap(bytes))
        case "Nmt": self = .cleanUp
        case "ByteLevel": self = .byteAlphabet
        default: throw Self.unsupported(type)
        }
    }

    private static func replacement(_ json: JSON) throws(TokenizerError) -> Normalizer {
        let content = Array((json["content"]?.string ?? "").utf8)
        if let pattern = json["pattern"]?["String"]?.string, !pattern.isEmpty {
            return .replace(Array(pattern.utf8), by: content)
        }
        guard let source = json["pattern"]?["Regex"]?.string else { throw unsupported("Replace without a pattern") }
        do throws(ExpressionError) {
            let expression = try RegularExpression(source, .oniguruma)
            guard !expression.canBeEmpty else { throw ExpressionError("a match without characters") }
            return .replaceMatches(expression, by: content)
        } catch {
            throw unsupported("Replace of \(printable(source)) with \(error.reason)")
        }
    }

    /// The bytes that a text in base64 stands for; nil for another text.
    private static func base64(_ text: String) -> [UInt8]? {
        var (bytes, bits, count): ([UInt8], UInt32, Int) = ([], 0, 0)
        for character in text.utf8 where character != UInt8(ascii: "=") {
            let value: UInt8
            switch character {
            case 0x41...0x5A: value = character - 0x41
            case 0x61...0x7A: value = character - 0x61 + 26
            case 0x30...0x39: value = character - 0x30 + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: return nil
            }
            (bits, count) = (bits << 6 | UInt32(value), count + 6)
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        return bytes
    }

    private static func unsupported(_ name: String) -> TokenizerError {
        .unsupportedSetting(section: "normalizer", value: name, supported: supported)
    }

    /// Whether each character is changed for itself.
    var isLocal: Bool {
        switch self {
        case .lowercase, .stripAccents, .byteAlphabet, .cleanUp: true
        case .replace(let pattern, _): pattern.count == 1
        case .canonical, .compatible, .strip, .replaceMatches, .prepend, .map: false
        }
    }

    /// The changed text. Linear.
    /// - Parameter text: text that has passed `UTF8Repair`.
    func apply(to text: [UInt8]) -> [UInt8] {
        switch self {
        case .canonical(let composing): return UnicodeNormalization.canonical.normalized(text, composing: composing)
        case .compatible(let composing): return UnicodeNormalization.compatible.normalized(text, composing: composing)
        case .lowercase: return Self.lowercased(text)
        case .stripAccents:
            return text.withUnsafeBufferPointer { bytes in
                var out: [UInt8] = []
                bytes.forEachCharacter(in: 0..<bytes.count) { code, range in
                    if !CharacterClass.isAccent(code) { out += bytes[range] }
                }
                return out
            }
        case .strip(let left, let right):
            return text.withUnsafeBufferPointer { bytes in
                let start = left ? bytes.spaceEnd(from: 0) : 0
                let end = right ? bytes.spaceStart(before: bytes.count, from: start) : bytes.count
                return Array(bytes[start..<end])
            }
        case .replace(let pattern, let content):
            return text.withUnsafeBufferPointer { $0.replacing(pattern, by: content) }
        case .replaceMatches(let expression, let content):
            return text.withUnsafeBufferPointer { bytes in
                var out: [UInt8] = []
                var scratch = RegularExpression.Scratch()
                expression.forEachPart(of: bytes, in: 0..<bytes.count, &scratch) { part, isMatch in
                    if isMatch { out += content } else { out += bytes[part] }
                }
                return out
            }
        case .prepend(let prefix): return text.isEmpty ? text : prefix + text
        case .map(let map): return map.applied(to: text)
        case .byteAlphabet:
            var out: [UInt8] = []
            for byte in text { ByteAlphabet.append(byte, to: &out) }
            return out
        case .cleanUp: return Self.cleanedUp(text)
        }
    }

    /// Leaves out controls, and writes other white space as a space: Nmt, as the tokenizers library has it.
    private static func cleanedUp(_ text: [UInt8]) -> [UInt8] {
        text.withUnsafeBufferPointer { bytes in
            var out: [UInt8] = []
            bytes.forEachCharacter(in: 0..<bytes.count) { code, range in
                switch code {
                case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: break
                case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
                    out.append(UInt8(ascii: " "))
                default: out += bytes[range]
                }
            }
            return out
        }
    }

    private static func lowercased(_ text: [UInt8]) -> [UInt8] {
        text.withUnsafeBufferPointer { bytes in
            var out: [UInt8] = []
            out.reserveCapacity(bytes.count)
            bytes.forEachCharacter(in: 0..<bytes.count) { code, range in
                if code < 0x80 {
                    out.append(UInt8(code) &- 0x41 < 26 ? UInt8(code) | 0x20 : UInt8(code))
                } else if let scalar = Unicode.Scalar(code) {
                    out += scalar.properties.lowercaseMapping.utf8
                } else {
                    out += bytes[range]
                }
            }
            return out
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether `pattern` begins at `position`.
    @inline(__always)
    func hasPrefix(_ pattern: [UInt8], at position: Int, _ end: Int) -> Bool {
        guard position + pattern.count <= end else { return false }
        for (i, byte) in pattern.enumerated() where self[position + i] != byte { return false }
        return true
    }

    /// Calls `body` with every place of `pattern` in a range, and with what lies between; nothing is empty.
    func forEachPart(at pattern: [UInt8], in range: Range<Int>, _ body: (Range<Int>, _ isMatch: Bool) -> Void) {
        var start = range.lowerBound
        var position = start
        while position < range.upperBound {
            guard hasPrefix(pattern, at: position, range.upperBound) else {
                position += 1
                continue
            }
            if start < position { body(start..<position, false) }
            body(position..<position + pattern.count, true)
            position += pattern.count
            start = position
        }
        if start < position { body(start..<position, false) }
    }

    /// The bytes with `content` in every place of `pattern`, which is not empty.
    func replacing(_ pattern: [UInt8], by content: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(count + count / 2)
        forEachPart(at: pattern, in: 0..<count) { part, isMatch in
            if isMatch { out += content } else { out += self[part] }
        }
        return out
    }

    /// The code point at `position`, whose text has passed `UTF8Repair`.
    @inline(__always)
    func character(_ position: Int) -> (code: UInt32, length: Int) {
        self[position] < 0x80 ? (UInt32(self[position]), 1) : wide(position)
    }

    /// Calls `body` with each character of a range.
    @inline(__always)
    func forEachCharacter(in range: Range<Int>, _ body: (_ code: UInt32, _ range: Range<Int>) -> Void) {
        var position = range.lowerBound
        while position < range.upperBound {
            let (code, length) = character(position)
            body(code, position..<position + length)
            position += length
        }
    }

    /// The character that ends before `position`, which must not be 0.
    func characterBefore(_ position: Int) -> (code: UInt32, start: Int) {
        var start = position - 1
        while start > 0, self[start] & 0xC0 == 0x80 { start -= 1 }
        return (character(start).code, start)
    }

    /// The end of the white space at `start`.
    func spaceEnd(from start: Int) -> Int {
        var position = start
        while position < count {
            let (code, length) = character(position)
            guard CharacterClass.isWhitespace(code) else { break }
            position += length
        }
        return position
    }

    /// The start of the white space that ends before `end`, but not before `start`.
    func spaceStart(before end: Int, from start: Int) -> Int {
        var position = end
        while position > start {
            let (code, first) = characterBefore(position)
            guard first >= start, CharacterClass.isWhitespace(code) else { break }
            position = first
        }
        return position
    }
}

extension CharacterClass {
    /// Whether a code point has the property White_Space.
    static func isWhitespace(_ code: UInt32) -> Bool {
        code < 0x80 ? code == 0x20 || 0x09...0x0D ~= code : Unicode.Scalar(code)?.properties.isWhitespace ?? false
    }

    /// Whether a code point is a combining mark, \p{M}.
    static func isMark(_ code: UInt32) -> Bool {
        switch code < 0x300 ? nil : Unicode.Scalar(code)?.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: true
        default: false
        }
    }

    /// Whether the library strips a code point as an accent: its combining marks are those of Unicode 9, when three
    /// characters were of another category.
    static func isAccent(_ code: UInt32) -> Bool {
        guard isMark(code), let age = Unicode.Scalar(code)?.properties.age else { return 0x1CF2...0x1CF3 ~= code }
        return age.major <= 9 && code != 0x111C9
    }

    /// Whether a code point is part of a word, \w, in Unicode 16, the library's version.
    static func isWord(_ code: UInt32) -> Bool {
        guard let properties = Unicode.Scalar(code)?.properties, let age = properties.age, age.major < 17 else {
            return false
        }
        if properties.isAlphabetic || properties.isJoinControl || isMark(code) { return true }
        return properties.generalCategory == .decimalNumber || properties.generalCategory == .connectorPunctuation
    }
}
