// SPDX-License-Identifier: Apache-2.0

/// Turns a stream of bytes into text that never ends in half a character.
///
/// Bytes that may still become a character are held back; bytes that cannot are replaced by U+FFFD
/// at once, exactly as `String(decoding:as:)` would replace them in the whole. However a stream is
/// cut, the pieces together are the same text. Feeding n bytes is linear.
package struct StreamingDecoder: Sendable {
    /// The beginning of a character, at most three bytes.
    private var pending: [UInt8] = []

    package init() {}

    /// Whether bytes are being held back.
    package var isPending: Bool { !pending.isEmpty }

    /// Takes the bytes of the next token, and returns the text that is now certain.
    package mutating func feed(_ bytes: some Sequence<UInt8>) -> String {
        pending += bytes
        let certain = pending.count - Self.incompleteTail(pending)
        let text = String(decoding: pending[..<certain], as: UTF8.self)
        pending.removeFirst(certain)
        return text
    }

    /// Takes the next token, and returns the text that is now certain.
    package mutating func feed(_ id: Int32, of tokenizer: Tokenizer) -> String {
        feed(tokenizer.piece(of: id))
    }

    /// Ends the stream: what is held back becomes U+FFFD.
    package mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// How many bytes at the end are the beginning of a well-formed character (Unicode 16, table
    /// 3-7).
    private static func incompleteTail(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            if lead & 0xC0 == 0x80 { continue }
            let needed = lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1
            guard length < needed else { return 0 }
            guard length > 1 else { return 1 }
            // The second byte rules out overlong forms, surrogates and what lies beyond U+10FFFF.
            let second = bytes[bytes.count - length + 1]
            let isPossible =
                switch lead {
                case 0xE0: second >= 0xA0
                case 0xED: second < 0xA0
                case 0xF0: second >= 0x90
                case 0xF4: second < 0x90
                default: true
                }
            return isPossible ? length : 0
        }
        return 0
    }
}
