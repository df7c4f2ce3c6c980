// SPDX-License-Identifier: Apache-2.0

/// Replacements of characters and their sequences, compiled by SentencePiece from rules such as nmt_nfkc: the
/// `precompiled_charsmap` of model files.
///
/// Source: SentencePiece (`normalizer.cc`): the size of a trie in bytes, the trie as a double array (Aoe 1989,
/// doi:10.1109/32.31365; packed as in Darts-clone), and the replacements, each ended by a NUL.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]

    /// The longest replacement accepted, in bytes, so that no map makes a short text fill the memory; NFKC has 33.
    private static let maximumReplacement = 256

    /// - Throws: `malformedFile` if the sizes do not fit, or a replacement is too long.
    init(_ bytes: [UInt8]) throws(TokenizerError) {
        func integer(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
        }
        let size = bytes.count >= 4 ? Int(integer(0)) : 0
        guard size >= 4, size % 4 == 0, size < bytes.count - 4 else {
            throw .malformedFile("the precompiled map of characters is damaged; get the file again")
        }
        units = (0..<size / 4).map { integer(4 + 4 * $0) }
        replacements = Array(bytes[(4 + size)...])
        guard replacements.split(separator: 0).allSatisfy({ $0.count <= Self.maximumReplacement }) else {
            throw .malformedFile(
                "the precompiled map of characters has a replacement of more than \(Self.maximumReplacement) bytes")
        }
    }

    /// What the text that begins at `position` is replaced by, and its length: of several such texts the longest, or the
    /// shortest. A damaged entry replaces nothing.
    func match(
        in text: Bytes, at position: Int, _ end: Int, shortest: Bool = false
    ) -> (replacement: ArraySlice<UInt8>, length: Int)? {
        var found: (offset: Int, length: Int)?
        var node = offset(units[0])
        var next = position
        while next < end, text[next] != 0 {
            node ^= Int(text[next])
            guard node < units.count else { break }
            let unit = units[node]
            // The label of a leaf has the highest bit set.
            guard unit & 0x8000_00FF == UInt32(text[next]) else { break }
            node ^= offset(unit)
            next += 1
            guard unit >> 8 & 1 == 1 else { continue }
            guard node < units.count else { break }
            found = (Int(units[node] & 0x7FFF_FFFF), next - position)
            if shortest { break }
        }
        guard let found, found.offset < replacements.count,
            let last = replacements[found.offset...].firstIndex(of: 0)
        else { return nil }
        return (replacements[found.offset..<last], found.length)
    }

    private func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 1 << 9) >> 6)) }

    /// The text with every grapheme replaced that has a replacement, or its characters, as the tokenizers library does it:
    /// the shortest beginning of a grapheme decides.
    /// - Parameter text: text that has passed `UTF8Repair`.
    func applied(to text: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count + 16)
        for grapheme in String(decoding: text, as: UTF8.self) {
            Array(grapheme.utf8).withUnsafeBufferPointer { bytes in
                // What is longer than six bytes is taken apart.
                if bytes.count < 6, let (replacement, _) = match(in: bytes, at: 0, bytes.count, shortest: true) {
                    out += replacement
                    return
                }
                bytes.forEachCharacter(in: 0..<bytes.count) { _, range in
                    if let (replacement, _) = match(in: bytes, at: range.lowerBound, range.upperBound, shortest: true) {
                        out += replacement
                    } else {
                        out += bytes[range]
                    }
                }
            }
        }
        return out
    }
}
