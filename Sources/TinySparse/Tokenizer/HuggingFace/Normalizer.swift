// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A change of the text before it is cut into words: a step of `normalizer` in `tokenizer.json`.
enum Normalizer: Sendable {
    case canonical(composing: Bool)
    case lowercase
    case stripAccents
    case strip(left: Bool, right: Bool)
    case replace([UInt8], by: [UInt8])
    case prepend([UInt8])

    private static let supported =
        "NFC, NFD, Lowercase, StripAccents, Strip, Prepend, Replace of a string, and a Sequence of these"

    /// The steps of a normalizer; none for null.
    /// - Throws: `unsupportedSetting` naming what is not known.
    static func steps(_ json: JSON?) throws(TokenizerError) -> [Normalizer] {
        guard let json, !json.isNull else { return [] }
        let type = json["type"]?.string ?? "unnamed"
        switch type {
        case "Sequence":
            var steps: [Normalizer] = []
            for step in json["normalizers"]?.array ?? [] { steps += try Self.steps(step) }
            return steps
        case "NFC": return [.canonical(composing: true)]
        case "NFD": return [.canonical(composing: false)]
        case "Lowercase": return [.lowercase]
        case "StripAccents": return [.stripAccents]
        case "Strip":
            return [.strip(left: json["strip_left"]?.bool ?? true, right: json["strip_right"]?.bool ?? true)]
        case "Prepend":
            return [.prepend(Array((json["prepend"]?.string ?? "").utf8))]
        case "Replace":
            guard let pattern = json["pattern"]?["String"]?.string, let content = json["content"]?.string,
                !pattern.isEmpty
            else {
                let expression = json["pattern"]?["Regex"]?.string ?? ""
                throw unsupported("Replace of the expression \(expression)")
            }
            return [.replace(Array(pattern.utf8), by: Array(content.utf8))]
        default: throw unsupported(type)
        }
    }

    private static func unsupported(_ name: String) -> TokenizerError {
        .unsupportedSetting(section: "normalizer", value: name, supported: supported)
    }

    /// The changed text. Linear.
    /// - Parameter text: text that has passed `UTF8Repair`.
    func apply(to text: [UInt8]) -> [UInt8] {
        switch self {
        case .canonical(let composing): return UnicodeNormalization.shared.normalized(text, composing: composing)
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
        case .replace(let pattern, let content): return Self.replacing(pattern, by: content, in: text)
        case .prepend(let prefix): return text.isEmpty ? text : prefix + text
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

    private static func replacing(_ pattern: [UInt8], by content: [UInt8], in text: [UInt8]) -> [UInt8] {
        text.withUnsafeBufferPointer { bytes in
            var out: [UInt8] = []
            out.reserveCapacity(bytes.count + bytes.count / 2)
            var position = 0
            while position < bytes.count {
                if bytes.hasPrefix(pattern, at: position, bytes.count) {
                    out += content
                    position += pattern.count
                } else {
                    out.append(bytes[position])
                    position += 1
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
