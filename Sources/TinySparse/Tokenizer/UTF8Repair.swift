// SPDX-License-Identifier: Apache-2.0

/// The lenient reading of UTF-8 that llama.cpp applies, so that ids agree on broken input too.
enum UTF8Repair {
    private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// The text with each byte that begins no character replaced by U+FFFD; nil if there is nothing
    /// to repair, the common case. Surrogates written as three bytes stay. Linear.
    /// - Parameter shortening: whether overlong forms are made short; otherwise they stay.
    static func repaired(_ text: Bytes, shortening: Bool) -> [UInt8]? {
        guard let fault = firstFault(text, shortening) else { return nil }
        var out = Array(text[0..<fault])
        out.reserveCapacity(text.count + 16)
        var position = fault
        while position < text.count {
            let (code, length) = character(text, position)
            if let code {
                if shortening {
                    append(code, to: &out)
                } else {
                    out += text[position..<position + length]
                }
            } else {
                out += replacement
            }
            position += length
        }
        return out
    }

    private static func firstFault(_ text: Bytes, _ shortening: Bool) -> Int? {
        var position = 0
        while position < text.count {
            if text[position] < 0x80 {
                let isASCII = position + 8 <= text.count && text.eightBytes(from: position) & 0x8080_8080_8080_8080 == 0
                position += isASCII ? 8 : 1
                continue
            }
            let (code, length) = character(text, position)
            guard let code, !shortening || encodedLength(code) == length else { return position }
            position += length
        }
        return nil
    }

    /// One character, overlong forms included; a nil code with length 1 for a byte that begins
    /// none.
    private static func character(_ text: Bytes, _ position: Int) -> (code: UInt32?, length: Int) {
        let lead = text[position]
        let length =
            lead < 0x80
            ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0
        guard length > 0, position + length <= text.count else { return (nil, 1) }
        if length == 1 { return (UInt32(lead), 1) }
        for i in 1..<length where text[position + i] & 0xC0 != 0x80 { return (nil, 1) }
        let code = text.wide(position).code
        return code <= 0x10FFFF ? (code, length) : (nil, 1)
    }

    private static func encodedLength(_ code: UInt32) -> Int {
        code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
    }

    /// Appends a code point; surrogates are written as three bytes.
    static func append(_ code: UInt32, to out: inout [UInt8]) {
        let tail = { (shift: UInt32) in UInt8(0x80 | (code >> shift) & 0x3F) }
        switch encodedLength(code) {
        case 1: out.append(UInt8(code))
        case 2: out += [UInt8(0xC0 | code >> 6), tail(0)]
        case 3: out += [UInt8(0xE0 | code >> 12), tail(6), tail(0)]
        default: out += [UInt8(0xF0 | code >> 18), tail(12), tail(6), tail(0)]
        }
    }
}
