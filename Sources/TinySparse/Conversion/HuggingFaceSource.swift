// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// A directory as the Hugging Face hub serves it.
struct HuggingFaceSource: ModelSource {
    let config: ModelConfig
    let map: TensorMap
    private let model: SafetensorsModel
    private let spec: TokenizerSpec

    init(directory: String, weights: String) throws(FormatError) {
        let fields = try ConfigFields(path: directory + "/config.json")
        let source = try SourceConfig(fields)
        let model = try SafetensorsModel(path: weights)
        try self.init(fields, source, model, try TokenizerFiles(directory: directory))
    }

    /// The same from files in memory.
    init(config: MappedFile, tokenizer: [UInt8], weights: MappedFile) throws(FormatError) {
        let fields = try ConfigFields(config)
        try self.init(
            fields, SourceConfig(fields), SafetensorsModel(weights),
            TokenizerFiles(path: "tokenizer.json", vocabulary: tokenizer))
    }

    private init(
        _ fields: ConfigFields, _ source: SourceConfig, _ model: SafetensorsModel, _ tokenizer: TokenizerFiles
    ) throws(FormatError) {
        config = source.config
        map = source.architecture.huggingFaceTensors.fitting { model.tensor($0) != nil }
        self.model = model
        var spec = try tokenizer.spec()
        // Which tokens begin and end a text may be in `config.json` only.
        let size = source.config.vocabularySize
        func id(_ key: String) -> Int32? {
            guard let id = fields.json[key]?.integer, 0 <= id, id < size else { return nil }
            return Int32(id)
        }
        spec.bos = spec.bos ?? id("bos_token_id")
        spec.eos = spec.eos ?? id("eos_token_id")
        self.spec = spec
    }

    var path: String { model.path }
    var notes: [String] { [] }
    var tensorNames: [String] { model.shards.flatMap { $0.tensors.map { $0.name } } }

    func tensor(_ name: String) -> SourceTensor? {
        guard let (shard, tensor) = model.tensor(name) else { return nil }
        return SourceTensor(
            path: shard.file.path, name: name, shape: tensor.shape, typeName: tensor.typeName,
            format: tensor.format, bytes: shard.bytes(of: tensor), offset: tensor.range.lowerBound)
    }

    func tokenizerSpec() -> TokenizerSpec { spec }

    func writeMetadata(to writer: inout GGUFWriter) { spec.write(to: &writer) }
}

/// The contents of `tokenizer.json`, and of `tokenizer_config.json` if there is one.
private struct TokenizerFiles {
    let path: String
    let vocabulary: [UInt8]
    var options: [UInt8]?

    init(path: String, vocabulary: [UInt8]) {
        self.path = path
        self.vocabulary = vocabulary
    }

    init(directory: String) throws(FormatError) {
        path = directory + "/tokenizer.json"
        guard fileExists(path) || !fileExists(directory + "/tokenizer.model") else {
            throw FormatError(
                .missing, path: directory, item: "tokenizer.json",
                "is not there, only tokenizer.model; make it with Transformers: "
                    + "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)")
        }
        vocabulary = try Self.read(path)
        let options = directory + "/tokenizer_config.json"
        if fileExists(options) { self.options = try Self.read(options) }
    }

    private static func read(_ path: String) throws(FormatError) -> [UInt8] {
        let file = try MappedFile(path: path)
        guard file.size <= 1 << 25 else {
            throw FormatError(.unsupported, path: path, "has \(file.size) bytes; 32 MiB are supported")
        }
        return file.contents
    }

    func spec() throws(FormatError) -> TokenizerSpec {
        do throws(TokenizerError) {
            return try TokenizerSpec(huggingFaceTokenizerJSON: vocabulary, config: options)
        } catch {
            throw FormatError(.unsupported, path: path, "\(error)")
        }
    }
}
