// SPDX-License-Identifier: Apache-2.0

/// A JSON value (RFC 8259).
///
/// Strings are compared by their UTF-8 bytes, never by Swift's canonical equivalence: a vocabulary
/// may hold "é" both composed and decomposed, and these are two tokens.
public indirect enum JSON: Sendable {
    case null
    case bool(Bool)
    /// A number without a fraction or an exponent that fits.
    case integer(Int64)
    /// Any other number.
    case double(Double)
    case string(String)
    case array([JSON])
    /// Members in the order of the file; a repeated key is kept, and looking it up finds the last,
    /// as in Python and other languages.
    case object([(key: String, value: JSON)])

    /// The deepest nesting of arrays and objects that `parse` accepts.
    public static let maximumDepth = 128

    /// Parses one JSON document from UTF-8 bytes. Linear in the size of the input.
    /// - Throws: `JSONError` with the byte offset of the first fault.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSON {
        try parseWithRanges(bytes).0
    }

    /// Parses one JSON document from UTF-8 bytes. Linear in the size of the input.
    /// - Parameter allowsNonFinite: whether `NaN`, `Infinity` and `-Infinity` are numbers, as Python writes them, and so
    ///   are those beyond the range of a double.
    /// - Throws: `JSONError` with the byte offset of the first fault.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, allowsNonFinite: Bool = false
    ) throws(JSONError) -> JSON {
        var parser = JSONParser(bytes, allowsNonFinite: allowsNonFinite)
        return try parser.document()
    }

    /// The same, with the bytes of the value of each member if the document is an object.
    package static func parseWithRanges(_ bytes: [UInt8]) throws(JSONError) -> (JSON, members: [Range<Int>]) {
        let result: Result<(JSON, [Range<Int>]), JSONError> = bytes.withUnsafeBytes { buffer in
            do throws(JSONError) {
                var parser = JSONParser(buffer, allowsNonFinite: false)
                let document = try parser.document()
                return .success((document, parser.outerValues))
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The member of an object with this key; nil for a missing key and for anything but an object.
    /// Linear in the number of members: meant for the small objects of a configuration.
    public subscript(_ key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    /// The value of a string, array, object, boolean or whole number; nil for anything else.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// See `string`.
    public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    /// See `string`.
    public var object: [(key: String, value: JSON)]? {
        if case .object(let value) = self { value } else { nil }
    }
    /// See `string`.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// See `string`.
    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }

    /// Any number as a double.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// Whether this is `null`.
    public var isNull: Bool { if case .null = self { true } else { false } }

    /// The value as JSON without white space. Numbers that are not whole are written as far as Swift shows them.
    public var compact: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): Self.quoted(value)
        case .array(let values): "[" + values.map { $0.compact }.joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { Self.quoted($0.key) + ":" + $0.value.compact }.joined(separator: ",") + "}"
        }
    }

    /// The text as a JSON string literal, quotes included. Escapes what RFC 8259 demands and
    /// nothing else.
    public static func quoted(_ text: String) -> String {
        var out: [UInt8] = [0x22]
        let hex = Array("0123456789abcdef".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x22: out += [0x5C, 0x22]
            case 0x5C: out += [0x5C, 0x5C]
            case 0x0A: out += [0x5C, 0x6E]
            case 0x0D: out += [0x5C, 0x72]
            case 0x09: out += [0x5C, 0x74]
            case 0..<0x20:
                out += [0x5C, 0x75, 0x30, 0x30, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(0x22)
        return String(decoding: out, as: UTF8.self)
    }
}

/// A fault in a JSON text.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    /// What is wrong.
    public let message: String
    /// The byte of the input at which it was found.
    public let offset: Int

    /// `JSON: message at byte offset`
    public var description: String { "JSON: \(message) at byte \(offset)" }
}

/// A recursive-descent parser over raw bytes; the depth limit bounds the recursion.
private struct JSONParser {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var depth = 0
    /// Where the values of the outermost object's members are.
    private(set) var outerValues: [Range<Int>] = []
    private let allowsNonFinite: Bool

    init(_ bytes: UnsafeRawBufferPointer, allowsNonFinite: Bool) {
        self.bytes = bytes
        self.allowsNonFinite = allowsNonFinite
    }

    mutating func document() throws(JSONError) -> JSON {
        let value = try value()
        skipSpace()
        guard position == bytes.count else { throw fault("text after the document") }
        return value
    }

    private func fault(_ message: String) -> JSONError {
        JSONError(message: message, offset: position)
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            position += 1
        }
    }

    private mutating func value() throws(JSONError) -> JSON {
        skipSpace()
        guard let byte = next else { throw fault("unexpected end of text") }
        switch byte {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "N") where allowsNonFinite: return try literal("NaN", .double(.nan))
        case UInt8(ascii: "I") where allowsNonFinite: return try literal("Infinity", .double(.infinity))
        default: throw fault("unexpected byte \(byte)")
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        for i in 0..<text.utf8CodeUnitCount {
            guard position + i < bytes.count, bytes[position + i] == text.utf8Start[i] else {
                throw fault("unknown word")
            }
        }
        position += text.utf8CodeUnitCount
        return value
    }

    private mutating func descend() throws(JSONError) {
        depth += 1
        guard depth <= JSON.maximumDepth else {
            throw fault("nested deeper than \(JSON.maximumDepth)")
        }
        position += 1
        skipSpace()
    }

    private mutating func array() throws(JSONError) -> JSON {
        try descend()
        var elements: [JSON] = []
        if next == UInt8(ascii: "]") {
            position += 1
        } else {
            repeat { elements.append(try value()) } while try another(before: UInt8(ascii: "]"))
        }
        depth -= 1
        return .array(elements)
    }

    private mutating func object() throws(JSONError) -> JSON {
        try descend()
        var members: [(key: String, value: JSON)] = []
        if next == UInt8(ascii: "}") {
            position += 1
        } else {
            repeat {
                skipSpace()
                guard next == UInt8(ascii: "\"") else { throw fault("expected a key") }
                let key = try string()
                skipSpace()
                guard next == UInt8(ascii: ":") else { throw fault("expected ':'") }
                position += 1
                skipSpace()
                let start = position
                members.append((key, try value()))
                if depth == 1 { outerValues.append(start..<position) }
            } while try another(before: UInt8(ascii: "}"))
        }
        depth -= 1
        return .object(members)
    }

    /// Consumes ',' (true) or the closing bracket (false).
    private mutating func another(before close: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        guard let byte = next, byte == UInt8(ascii: ",") || byte == close else {
            throw fault("expected ',' or the closing bracket")
        }
        position += 1
        return byte != close
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = position
        if next == UInt8(ascii: "-") { position += 1 }
        if next == UInt8(ascii: "I"), allowsNonFinite { return try literal("Infinity", .double(-.infinity)) }
        if next == UInt8(ascii: "0") { position += 1 } else { try digits() }
        var isInteger = true
        if next == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        let text = String(
            decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite || allowsNonFinite else { throw fault("number out of range") }
        return .double(value)
    }

    private mutating func digits() throws(JSONError) {
        let start = position
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            position += 1
        }
        guard position > start else { throw fault("expected a digit") }
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let text = try text(UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            guard byte >= 0x20 else { throw fault("control character in a string") }
            position += 1
        }
        throw fault("unterminated string")
    }

    /// The slow path: the string that begins at `start` has its first escape at `position`.
    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var unescaped = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                let result: Result<String, JSONError> = unescaped.withUnsafeBytes { raw in
                    do throws(JSONError) { return .success(try text(raw)) } catch {
                        return .failure(error)
                    }
                }
                position += 1
                return try result.get()
            case UInt8(ascii: "\\"):
                try escape(into: &unescaped)
            case 0..<0x20:
                throw fault("control character in a string")
            default:
                unescaped.append(byte)
                position += 1
            }
        }
        throw fault("unterminated string")
    }

    private mutating func escape(into out: inout [UInt8]) throws(JSONError) {
        position += 1
        guard let byte = next else { throw fault("unterminated escape") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexQuad()
            if 0xD800..<0xDC00 ~= code {
                guard next == UInt8(ascii: "\\") else { throw fault("unpaired surrogate") }
                position += 1
                guard next == UInt8(ascii: "u") else { throw fault("unpaired surrogate") }
                position += 1
                let low = try hexQuad()
                guard 0xDC00..<0xE000 ~= low else { throw fault("unpaired surrogate") }
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("unpaired surrogate") }
            out.append(contentsOf: UTF8.encode(scalar)!)
        default: throw fault("unknown escape")
        }
    }

    private mutating func hexQuad() throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next,
                let digit = Unicode.Scalar(byte).properties.isASCIIHexDigit ? byte : nil
            else {
                throw fault("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit & 15) + (digit > UInt8(ascii: "9") ? 9 : 0)
            position += 1
        }
        return code
    }

    private func text(_ raw: UnsafeRawBufferPointer) throws(JSONError) -> String {
        guard let text = String(validating: raw.bindMemory(to: UInt8.self), as: UTF8.self) else {
            throw fault("invalid UTF-8 in a string")
        }
        return text
    }
}
