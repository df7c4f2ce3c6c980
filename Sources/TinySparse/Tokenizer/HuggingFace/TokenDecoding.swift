// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// How the text of a token becomes text again: `decoder` of a `tokenizer.json`.
enum TokenDecoding: Sendable, Equatable {
    /// Characters stand for bytes, see `ByteAlphabet`.
    case byteLevel
    /// A space mark stands for a space; the space before a text is left out or not.
    case spaceMark([UInt8], stripsFirst: Bool)

    private static let supported =
        "ByteLevel; Metaspace; a Sequence of Replace, ByteFallback, Fuse and Strip of a space"

    /// - Parameter isByteLevel: whether words are written in the byte alphabet, for files without a decoder.
    /// - Throws: `unsupportedSetting` naming what is not known.
    init(_ json: JSON?, isByteLevel: Bool) throws(TokenizerError) {
        guard let json, !json.isNull else {
            self = isByteLevel ? .byteLevel : .spaceMark(SentencePieceBPE.spaceMark, stripsFirst: false)
            return
        }
        var steps = json["type"]?.string == "Sequence" ? json["decoders"]?.array ?? [] : [json]
        // Both say what is done in any case.
        steps.removeAll { ["ByteFallback", "Fuse"].contains($0["type"]?.string ?? "") }
        let names = steps.map { $0["type"]?.string ?? "unnamed" }
        let unsupported = TokenizerError.unsupportedSetting(
            section: "decoder", value: names.joined(separator: " + "), supported: Self.supported)
        switch names {
        case ["ByteLevel"]: self = .byteLevel
        case ["Metaspace"]:
            let mark = steps[0]["replacement"]?.string.map { Array($0.utf8) } ?? SentencePieceBPE.spaceMark
            let prepends = steps[0]["add_prefix_space"]?.bool ?? (steps[0]["prepend_scheme"]?.string != "never")
            self = .spaceMark(mark, stripsFirst: prepends)
        case ["Replace"], ["Replace", "Strip"]:
            guard let mark = steps[0]["pattern"]?["String"]?.string, !mark.isEmpty,
                steps[0]["content"]?.string == " "
            else { throw unsupported }
            var strips = false
            if let strip = steps.dropFirst().first {
                guard strip["content"]?.string == " ", let start = strip["start"]?.integer, 0...1 ~= start,
                    strip["stop"]?.integer == 0
                else { throw unsupported }
                strips = start == 1
            }
            self = .spaceMark(Array(mark.utf8), stripsFirst: strips)
        case []: self = isByteLevel ? .byteLevel : .spaceMark(SentencePieceBPE.spaceMark, stripsFirst: false)
        default: throw unsupported
        }
    }

    /// The bytes of a token's text.
    func bytes(of text: ArraySlice<UInt8>) -> [UInt8] {
        switch self {
        case .byteLevel: return ByteAlphabet.decode(text) ?? Array(text)
        case .spaceMark(let mark, _):
            return text.withUnsafeBufferPointer { $0.replacing(mark, by: [UInt8(ascii: " ")]) }
        }
    }
}
