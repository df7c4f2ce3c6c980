// SPDX-License-Identifier: Apache-2.0

/// Reading the `tokenizer.model` of SentencePiece.
///
/// Source: `sentencepiece_model.proto`.
extension TokenizerSpec {
    /// Makes a vocabulary of a `tokenizer.model`. Linear in the size of the file.
    /// - Throws: `malformedFile`, or `unsupportedModel` naming what is not understood.
    package init(sentencePieceModel bytes: [UInt8]) throws(TokenizerError) {
        self.init(model: SentencePieceModel.unigram, tokens: [], scores: [], types: [])
        var settings = SentencePieceSettings()
        var reader = ProtobufReader(bytes[...])
        while let (field, value) = try reader.next() {
            guard case .bytes(let message) = value else { continue }
            switch field {
            case 1: try addPiece(message)
            case 2: try settings.readTrainer(message)
            case 3: try settings.readNormalizer(message)
            case 5: try settings.readDenormalizer(message)
            default: break
            }
        }
        guard !tokens.isEmpty else { throw ProtobufReader.damaged }
        model = try settings.checkedModel()
        characterMap = settings.map.isEmpty ? nil : settings.map
        addSpacePrefix = settings.prefixesSpace
        removeExtraWhitespace = settings.removesExtraSpace
        unknown = (types ?? []).firstIndex(of: TokenType.unknown.rawValue).map { Int32($0) }
        func control(_ id: Int32) -> Int32? { 0 <= id && id < tokens.count ? id : nil }
        bos = control(settings.begin)
        eos = control(settings.end)
        padding = control(settings.padding)
    }

    private mutating func addPiece(_ message: ArraySlice<UInt8>) throws(TokenizerError) {
        var (text, score, type) = ([UInt8](), Float(0), TokenType.normal.rawValue)
        var reader = ProtobufReader(message)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let bytes)): text = Array(bytes)
            case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
            case (3, .integer(let number)): type = Int32(truncatingIfNeeded: number)
            default: break
            }
        }
        tokens.append(text)
        scores?.append(Double(score))
        // The numbers are those of GGUF, which has taken them from here.
        types?.append(type)
    }
}

/// What a SentencePiece model says besides its pieces.
private struct SentencePieceSettings {
    var map: [UInt8] = []
    var prefixesSpace = true
    var removesExtraSpace = true
    var begin: Int32 = 1
    var end: Int32 = 2
    var padding: Int32 = -1
    private var modelType: UInt64 = 1
    private var escapesSpace = true
    private var spaceFollows = false
    private var changesDecodedText = false

    mutating func readTrainer(_ message: ArraySlice<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(message)
        while let (field, value) = try reader.next() {
            guard case .integer(let number) = value else { continue }
            switch field {
            case 3: modelType = number
            case 24: spaceFollows = number != 0
            case 41: begin = Int32(truncatingIfNeeded: number)
            case 42: end = Int32(truncatingIfNeeded: number)
            case 43: padding = Int32(truncatingIfNeeded: number)
            default: break
            }
        }
    }

    mutating func readNormalizer(_ message: ArraySlice<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(message)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (2, .bytes(let bytes)): map = Array(bytes)
            case (3, .integer(let number)): prefixesSpace = number != 0
            case (4, .integer(let number)): removesExtraSpace = number != 0
            case (5, .integer(let number)): escapesSpace = number != 0
            default: break
            }
        }
    }

    mutating func readDenormalizer(_ message: ArraySlice<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(message)
        while let (field, value) = try reader.next() {
            if field == 2, case .bytes(let bytes) = value { changesDecodedText = !bytes.isEmpty }
        }
    }

    /// The name of the kind of model.
    func checkedModel() throws(TokenizerError) -> String {
        guard escapesSpace else { throw .unsupportedModel("SentencePiece without escape_whitespaces") }
        guard !spaceFollows else { throw .unsupportedModel("SentencePiece with treat_whitespace_as_suffix") }
        guard !changesDecodedText else { throw .unsupportedModel("SentencePiece with a denormalizer") }
        return switch modelType {
        case 1: SentencePieceModel.unigram
        case 2: SentencePieceModel.bpe
        case 3: throw .unsupportedModel("SentencePiece of words")
        default: throw .unsupportedModel("SentencePiece of characters")
        }
    }
}
