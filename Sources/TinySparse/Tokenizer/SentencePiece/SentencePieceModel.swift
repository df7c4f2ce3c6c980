// SPDX-License-Identifier: Apache-2.0

/// A vocabulary as the SentencePiece library uses it, from a `tokenizer.model`.
///
/// Source: SentencePiece 0.2 (`sentencepiece_processor.cc`, `bpe_model.cc`, `unigram_model.cc`). As in llama.cpp, control
/// tokens are recognized in trusted text, and the text after one begins anew.
struct SentencePieceModel: Sendable {
    static let bpe = "sentencepiece-bpe"
    static let unigram = "sentencepiece-unigram"

    private enum Model: Sendable {
        case bpe(SentencePieceBPE)
        case unigram(Unigram)
    }

    private let model: Model
    private let normalizer: SpaceNormalizer
    private let control: AddedTokens
    /// Found in normalized text.
    private let userDefined: AddedTokens
    private let unknown: Int32

    /// - Throws: `TokenizerError` for scores that are missing, or a damaged character map.
    init(_ spec: TokenizerSpec, _ vocabulary: ByteStringTable, _ types: [TokenizerSpec.TokenType])
        throws(TokenizerError)
    {
        guard let unknown = spec.unknown else { throw .missing(field: "unknown token id") }
        self.unknown = unknown
        let scores = try spec.checkedScores()
        model =
            spec.model == Self.unigram
            ? .unigram(.sentencePiece(vocabulary, scores: scores, types: types, unknown: unknown))
            : .bpe(
                SentencePieceBPE(
                    vocabulary: vocabulary, scores: scores.map { Float($0) }, unknown: unknown, types: types))
        func tokens(_ type: TokenizerSpec.TokenType) -> [AddedTokens.Token] {
            types.indices.filter { types[$0] == type }.map {
                AddedTokens.Token(id: Int32($0), text: Array(vocabulary.string($0)), isSpecial: type == .control)
            }
        }
        control = AddedTokens(tokens(.control))
        let own = tokens(.userDefined)
        userDefined = AddedTokens(own)
        normalizer = SpaceNormalizer(
            style: .sentencePiece,
            map: try spec.characterMap.map { (bytes) throws(TokenizerError) in try CharacterMap(bytes) },
            prefixesSpace: spec.addSpacePrefix ?? true, removesExtraSpace: spec.removeExtraWhitespace,
            userDefined: PrefixMatcher(own.map { ($0.text, $0.id) }))
    }

    /// Appends the ids of a text.
    /// - Parameter trusted: sorted disjoint ranges; only there control tokens are recognized.
    func encode(_ text: Bytes, trusted: [Range<Int>], into ids: inout [Int32]) {
        var scratch = SentencePieceBPE.Scratch()
        for fragment in control.fragments(of: text, trusted: trusted) {
            switch fragment {
            case .token(let id): ids.append(id)
            case .text(let range):
                let first = ids.count
                normalizer.normalized(text.part(range)).withUnsafeBufferPointer {
                    encode(normalized: $0, &ids, &scratch)
                }
                joinUnknown(&ids, from: first)
            }
        }
    }

    private func encode(normalized text: Bytes, _ ids: inout [Int32], _ scratch: inout SentencePieceBPE.Scratch) {
        switch model {
        case .unigram(let model): model.encode(text, into: &ids)
        case .bpe(let model):
            for fragment in userDefined.fragments(of: text, trusted: []) {
                switch fragment {
                case .token(let id): ids.append(id)
                case .text(let range): model.encode(marked: text.part(range), into: &ids, scratch: &scratch)
                }
            }
        }
    }

    /// Makes one of neighboring unknown tokens.
    private func joinUnknown(_ ids: inout [Int32], from first: Int) {
        var count = first
        for index in first..<ids.count where !(count > first && ids[index] == unknown && ids[count - 1] == unknown) {
            ids[count] = ids[index]
            count += 1
        }
        ids.removeLast(ids.count - count)
    }
}
