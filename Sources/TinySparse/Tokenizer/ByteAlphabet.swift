// SPDX-License-Identifier: Apache-2.0

/// The alphabet in which byte-level BPE writes token texts: each byte is one visible character,
/// printable Latin-1 bytes stand for themselves and the others for U+0100 onwards.
///
/// Source: `bytes_to_unicode` of GPT-2 (Radford et al. 2019).
enum ByteAlphabet {
    /// Whether a byte stands for itself.
    static func isSelf(_ byte: UInt8) -> Bool {
        0x21...0x7E ~= byte || 0xA1...0xAC ~= byte || byte >= 0xAE
    }

    /// The character of each byte.
    private static let characterOfByte: [UInt16] = {
        var table = Array(repeating: UInt16(0), count: 256)
        for (character, byte) in byteOfCharacter.enumerated() where byte >= 0 { table[Int(byte)] = UInt16(character) }
        return table
    }()

    /// Appends the character that stands for a byte.
    @inline(__always)
    static func append(_ byte: UInt8, to out: inout [UInt8]) {
        let character = characterOfByte[Int(byte)]
        if character < 0x80 {
            out.append(UInt8(character))
        } else {
            out.append(UInt8(0xC0 | character >> 6))
            out.append(UInt8(0x80 | character & 0x3F))
        }
    }

    /// The byte of each character from U+0000 to U+0143; -1 for the characters that stand for no
    /// byte.
    static let byteOfCharacter: [Int16] = {
        var table = Array(repeating: Int16(-1), count: 0x144)
        var next = 0x100
        for byte in UInt8.min...UInt8.max {
            if isSelf(byte) {
                table[Int(byte)] = Int16(byte)
            } else {
                table[next] = Int16(byte)
                next += 1
            }
        }
        return table
    }()

    /// The bytes that a token text stands for; nil if it has a character outside the alphabet.
    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let first = iterator.next() {
            var character = Int(first)
            if first >= 0x80 {
                // The whole alphabet lies below U+0800, hence in at most two bytes.
                guard first & 0xE0 == 0xC0, let second = iterator.next(), second & 0xC0 == 0x80
                else { return nil }
                character = Int(first & 0x1F) << 6 | Int(second & 0x3F)
                guard character >= 0x80 else { return nil }
            }
            guard character < byteOfCharacter.count, byteOfCharacter[character] >= 0 else {
                return nil
            }
            bytes.append(UInt8(byteOfCharacter[character]))
        }
        return bytes
    }
}
