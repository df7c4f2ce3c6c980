// SPDX-License-Identifier: Apache-2.0

/// What SentencePiece does to a text before it is cut into tokens: characters are replaced, spaces become space marks, and
/// superfluous ones are left out.
///
/// Source: SentencePiece (`Normalizer::Normalize`), and llama.cpp's `llm_tokenizer_ugm`, which differ. Linear, but for
/// the longest replaced text.
struct SpaceNormalizer: Sendable {
    /// Whose treatment of spaces is followed.
    enum Style: Sendable { case llamaCpp, sentencePiece }

    var style: Style
    var map: CharacterMap?
    /// Whether text is given a leading space.
    var prefixesSpace: Bool
    /// Whether runs of spaces become one, and spaces around the text are lost.
    var removesExtraSpace: Bool
    /// Tokens that are kept as they are.
    var userDefined = PrefixMatcher([])

    /// The text with its characters replaced and its spaces marked.
    func normalized(_ text: Bytes) -> [UInt8] {
        let repaired = UTF8Repair.repaired(text, shortening: style == .sentencePiece)
        let changed = (repaired ?? Array(text)).withUnsafeBufferPointer(replaced)
        return switch style {
        case .llamaCpp: spacedAsLlamaCpp(changed)
        case .sentencePiece: spacedAsSentencePiece(changed)
        }
    }

    private func replaced(_ text: Bytes) -> [UInt8] {
        guard let map else { return Array(text) }
        var out: [UInt8] = []
        out.reserveCapacity(text.count + 16)
        var position = 0
        while position < text.count {
            var kept = 0
            userDefined.forEachMatch(in: text, at: position) { _, length in kept = length }
            if kept == 0, let (replacement, length) = map.match(in: text, at: position, text.count) {
                out += replacement
                position += length
            } else {
                let length = kept > 0 ? kept : text.characterLength(position)
                out += text[position..<position + length]
                position += length
            }
        }
        return out
    }

    private func spacedAsLlamaCpp(_ text: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count + text.count / 2 + 3)
        var isPrefixed = false
        var inWord = false
        for byte in text {
            if byte == UInt8(ascii: " ") {
                inWord = false
                if !removesExtraSpace { out += SentencePieceBPE.spaceMark }
                continue
            }
            if !inWord {
                inWord = true
                if (prefixesSpace && !isPrefixed) || removesExtraSpace {
                    out += SentencePieceBPE.spaceMark
                    isPrefixed = true
                }
            }
            out.append(byte)
        }
        return out
    }

    private func spacedAsSentencePiece(_ text: [UInt8]) -> [UInt8] {
        let space = UInt8(ascii: " ")
        var rest = text[...]
        if removesExtraSpace {
            rest = rest.drop { $0 == space }
            // Space marks in the text are spaces, too, where they are the last.
            while true {
                if rest.last == space {
                    rest.removeLast()
                } else if rest.suffix(3).elementsEqual(SentencePieceBPE.spaceMark) {
                    rest.removeLast(3)
                } else {
                    break
                }
            }
        }
        guard !rest.isEmpty else { return [] }
        var out = prefixesSpace ? SentencePieceBPE.spaceMark : []
        out.reserveCapacity(rest.count + rest.count / 2 + 3)
        var followsSpace = false
        for byte in rest {
            if byte != space {
                out.append(byte)
            } else if !(removesExtraSpace && followsSpace) {
                out += SentencePieceBPE.spaceMark
            }
            followsSpace = byte == space
        }
        return out
    }
}
