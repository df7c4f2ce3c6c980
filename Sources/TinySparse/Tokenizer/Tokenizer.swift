// SPDX-License-Identifier: Apache-2.0

/// Turns text into token ids and back. Immutable, and safe to use from several threads.
///
/// The ids are those of llama.cpp for the same vocabulary, also for broken UTF-8 and for special
/// tokens in the text.
public final class Tokenizer: Sendable {
    /// The longest token text accepted, in bytes.
    package static let maximumTokenLength = 1 << 16
    /// Longer stretches of text are cut, which keeps positions in 32 bits.
    private static let maximumFragment = 1 << 28

    private enum Model: Sendable {
        case byteLevel(ByteLevelBPE)
        case sentencePiece(SentencePieceBPE)
        case unigram(Unigram, SpaceNormalizer)
        case spaceMarked(SpaceMarkedBPE)
        case library(SentencePieceModel)
        case huggingFace(HuggingFacePipeline)
    }

    /// Beginning of sequence, if the vocabulary has it.
    public let bos: Int32?
    /// End of sequence, if the vocabulary has it.
    public let eos: Int32?
    /// End of turn, if the vocabulary has it.
    public let eot: Int32?
    /// Whether `encode(addSpecial: true)` begins with BOS.
    public let addsBOS: Bool
    /// Whether `encode(addSpecial: true, isComplete: true)` ends with EOS.
    public let addsEOS: Bool
    let unknown: Int32?
    let padding: Int32?
    /// The source of the model's chat template, if the file has one.
    package let chatTemplateSource: String?

    private let model: Model
    private let vocabulary: ByteStringTable
    private let types: [TokenizerSpec.TokenType]
    private let special: SpecialTokens
    private let endsGeneration: Set<Int32>
    private let spacePrefix: Bool
    private let decoding: TokenDecoding
    /// What `encode(addSpecial: true)` puts before and after the ids of a text.
    private let prefix: [Int32]
    private let suffix: [Int32]

    /// Checks a vocabulary and prepares it. Linear in its size.
    /// - Throws: `TokenizerError` for a vocabulary that cannot be used.
    package init(_ spec: TokenizerSpec) throws(TokenizerError) {
        vocabulary = try spec.vocabularyTable()
        var types = try spec.tokenTypes()
        try spec.checkIDs()
        let known = { [vocabulary] (texts: [String]) in
            texts.compactMap { vocabulary.find(Array($0.utf8)).map { Int32($0) } }
        }
        let ends = known(KnownTokens.ends(isKnown: { !known([$0]).isEmpty }))
        let endsFile = known(KnownTokens.endOfFile)
        for id in ends + endsFile + known(KnownTokens.control) { types[Int(id)] = .control }
        self.types = types
        special = SpecialTokens(vocabulary: vocabulary, types: types)
        (unknown, padding) = (spec.unknown, spec.padding)
        chatTemplateSource = spec.chatTemplate
        eot = spec.eot ?? known(KnownTokens.endOfTurn).first

        let standard: Defaults
        (model, standard) = try Self.model(spec, vocabulary, types)
        bos = spec.bos ?? standard.bos
        eos = spec.eos ?? standard.eos
        endsGeneration = Set(ends + endsFile + spec.endOfGeneration + [eos, eot].compactMap { $0 })
        if case .huggingFace(let pipeline) = model {
            (prefix, suffix, decoding) = (pipeline.prefix, pipeline.suffix, pipeline.decoding)
        } else {
            prefix = spec.addBOS ?? standard.addsBOS ? [bos].compactMap { $0 } : []
            suffix = spec.addEOS ?? standard.addsEOS ? [eos].compactMap { $0 } : []
            decoding =
                standard.isByteLevel
                ? .byteLevel : .spaceMark(SentencePieceBPE.spaceMark, stripsFirst: standard.spacePrefix)
        }
        spacePrefix = standard.spacePrefix
        addsBOS = bos.map(prefix.contains) ?? false
        addsEOS = eos.map(suffix.contains) ?? false
    }

    /// What holds for a kind of model where the file is silent.
    private struct Defaults {
        var bos: Int32?
        var eos: Int32?
        var addsBOS = false
        var addsEOS = false
        var spacePrefix = false
        var isByteLevel = false
    }

    private static func model(
        _ spec: TokenizerSpec, _ vocabulary: ByteStringTable, _ types: [TokenizerSpec.TokenType]
    ) throws(TokenizerError) -> (Model, Defaults) {
        switch spec.model {
        case TokenizerSpec.huggingFace:
            guard let settings = spec.settings else { throw .missing(field: "settings") }
            let pipeline = try HuggingFacePipeline(
                settings: settings, vocabulary: vocabulary, types: types, spec: spec)
            return (
                .huggingFace(pipeline), Defaults(bos: pipeline.prefix.first, eos: pipeline.suffix.last)
            )
        case "llama":
            let hasStandard = vocabulary.count > 2
            let model = SentencePieceBPE(
                vocabulary: vocabulary, scores: try spec.checkedScores().map { Float($0) },
                unknown: spec.unknown ?? 0)
            return (
                .sentencePiece(model),
                Defaults(
                    bos: hasStandard ? 1 : nil, eos: hasStandard ? 2 : nil, addsBOS: true,
                    spacePrefix: spec.addSpacePrefix ?? true)
            )
        case "t5", "unigram":
            let scores = try spec.checkedScores()
            guard let unknown = spec.unknown else { throw .missing(field: "unknown token id") }
            let normalizer = SpaceNormalizer(
                style: .llamaCpp,
                map: try spec.characterMap.map { (bytes) throws(TokenizerError) in try CharacterMap(bytes) },
                prefixesSpace: spec.addSpacePrefix ?? false, removesExtraSpace: spec.removeExtraWhitespace)
            let model = Unigram.llamaCpp(vocabulary, scores: scores, types: types, unknown: unknown)
            return (
                .unigram(model, normalizer), Defaults(addsEOS: true, spacePrefix: spec.addSpacePrefix ?? false)
            )
        case SentencePieceModel.bpe, SentencePieceModel.unigram:
            let model = try SentencePieceModel(spec, vocabulary, types)
            return (
                .library(model), Defaults(addsBOS: spec.bos != nil, spacePrefix: spec.addSpacePrefix ?? true)
            )
        case "gpt2", "gemma4":
            let family = try NamedPreTokenizer(spec.model == "gemma4" ? spec.model : spec.pre)
            guard !family.isOfCharacters else {
                let model = try SpaceMarkedBPE(vocabulary: vocabulary, merges: spec.merges)
                return (.spaceMarked(model), Defaults(addsBOS: family.addsBOS))
            }
            let model = try ByteLevelBPE(
                tokens: spec.tokens, merges: spec.merges, rule: try family.preTokenizer(),
                ignoresMerges: family.ignoresMerges)
            return (.byteLevel(model), Defaults(addsBOS: family.addsBOS, isByteLevel: true))
        default: throw .unsupportedModel(spec.model)
        }
    }

    /// The number of tokens; ids are 0 to one less.
    public var vocabularySize: Int { vocabulary.count }

    // MARK: - Encoding

    /// The ids of a text.
    /// - Parameters:
    ///   - addSpecial: whether to add BOS, and EOS if `isComplete`, as the model wants them.
    ///   - parseSpecial: whether the texts of control tokens in `text` become these tokens. Leave
    ///     it off for text that comes from a user.
    ///   - isComplete: whether the text ends here. EOS after a prompt would end it before the model
    ///     can continue it.
    ///
    /// n bytes take O(n log n) at worst, and linear time on natural text.
    public func encode(
        _ text: String, addSpecial: Bool = true, parseSpecial: Bool = false, isComplete: Bool = false
    ) -> [Int32] {
        var text = text
        return text.withUTF8 {
            encode(
                $0, trusted: parseSpecial ? [0..<$0.count] : [], addSpecial: addSpecial,
                isComplete: isComplete)
        }
    }

    /// The ids of a text given as bytes, which need not be valid UTF-8.
    public func encode(
        _ text: [UInt8], addSpecial: Bool = true, parseSpecial: Bool = false, isComplete: Bool = false
    ) -> [Int32] {
        text.withUnsafeBufferPointer {
            encode(
                $0, trusted: parseSpecial ? [0..<$0.count] : [], addSpecial: addSpecial,
                isComplete: isComplete)
        }
    }

    /// - Parameter trusted: sorted, disjoint ranges; control tokens count in them only.
    func encode(_ text: Bytes, trusted: [Range<Int>], addSpecial: Bool, isComplete: Bool) -> [Int32] {
        var ids = addSpecial ? prefix : []
        switch model {
        case .huggingFace(let pipeline):
            pipeline.encode(text, trusted: trusted, beginsText: true, into: &ids)
        case .library(let model): model.encode(text, trusted: trusted, into: &ids)
        case .byteLevel, .sentencePiece, .unigram, .spaceMarked:
            encodeFragments(of: text, trusted: trusted, into: &ids)
        }
        if addSpecial, isComplete { ids += suffix }
        return ids
    }

    private func encodeFragments(of text: Bytes, trusted: [Range<Int>], into ids: inout [Int32]) {
        var wordPieces = PairMerges.Scratch()
        var sentencePieces = SentencePieceBPE.Scratch()
        var followsSpecial = true
        for fragment in special.fragments(of: text, trusted: trusted) {
            switch fragment {
            case .token(let id):
                ids.append(id)
                followsSpecial = true
            case .text(let range):
                for start in stride(
                    from: range.lowerBound, to: range.upperBound, by: Self.maximumFragment)
                {
                    let part = text.part(
                        start..<min(range.upperBound, start + Self.maximumFragment))
                    switch model {
                    case .byteLevel(let model): model.encode(part, into: &ids, scratch: &wordPieces)
                    case .sentencePiece(let model):
                        model.encode(
                            part, spacePrefix: spacePrefix && followsSpecial, into: &ids,
                            scratch: &sentencePieces)
                    case .unigram(let model, let normalizer):
                        normalizer.normalized(part).withUnsafeBufferPointer { model.encode($0, into: &ids) }
                    case .spaceMarked(let model): model.encode(part, into: &ids, scratch: &wordPieces)
                    case .library, .huggingFace: break
                    }
                    followsSpecial = false
                }
            }
        }
    }

    // MARK: - Decoding

    /// The bytes that a token stands for: part of a character perhaps; the token's name for a
    /// control token; empty for an unused token and for an id outside the vocabulary.
    public func piece(of id: Int32) -> [UInt8] {
        guard id >= 0, Int(id) < vocabulary.count else { return [] }
        let text = vocabulary.string(Int(id))
        switch types[Int(id)] {
        case .control, .unknown, .userDefined: return Array(text)
        case .byte: return Self.byteValue(text).map { [$0] } ?? []
        case .unused, .undefined: return []
        case .normal: return decoding.bytes(of: text)
        }
    }

    /// The bytes of a sequence of ids. With `skipSpecial`, control tokens are left out, and so is
    /// the space that encoding put before the text.
    public func decodeBytes(_ ids: some Sequence<Int32>, skipSpecial: Bool = true) -> [UInt8] {
        var bytes: [UInt8] = []
        var isFirst = true
        let stripsFirst = if case .spaceMark(_, true) = decoding { true } else { false }
        for id in ids {
            if skipSpecial, isControl(id) { continue }
            var piece = piece(of: id)
            if isFirst, skipSpecial, stripsFirst, piece.first == UInt8(ascii: " ") { piece.removeFirst() }
            bytes += piece
            isFirst = false
        }
        return bytes
    }

    /// The text of a sequence of ids, see `decodeBytes`; invalid UTF-8 becomes U+FFFD.
    public func decode(_ ids: some Sequence<Int32>, skipSpecial: Bool = true) -> String {
        String(decoding: decodeBytes(ids, skipSpecial: skipSpecial), as: UTF8.self)
    }

    /// Whether an id is a control token or the unknown token, which stand for no text.
    public func isControl(_ id: Int32) -> Bool {
        guard id >= 0, Int(id) < types.count else { return false }
        return types[Int(id)] == .control || types[Int(id)] == .unknown
    }

    /// Whether a generation ends with this id.
    public func isEndOfGeneration(_ id: Int32) -> Bool { endsGeneration.contains(id) }

    /// The tokens with which a generation ends, ascending.
    package var endOfGeneration: [Int32] { endsGeneration.sorted() }

    /// Whether the vocabulary comes from a `tokenizer.json`.
    var isHuggingFace: Bool { if case .huggingFace = model { true } else { false } }

    /// Whether token texts stand for bytes.
    package var isByteLevel: Bool { decoding == .byteLevel }

    /// The id of the token with exactly this text, if there is one.
    package func id(of text: String) -> Int32? {
        vocabulary.find(Array(text.utf8)).map { Int32($0) }
    }

    /// The value of a byte token "<0x0A>".
    private static func byteValue(_ text: ArraySlice<UInt8>) -> UInt8? {
        guard text.count == 6, text.starts(with: "<0x".utf8), text.last == UInt8(ascii: ">") else {
            return nil
        }
        return UInt8(String(decoding: text.dropFirst(3).prefix(2), as: UTF8.self), radix: 16)
    }
}
