// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// A directory as the Hugging Face hub serves it.
struct HuggingFaceSource: ModelSource {
    let directory: String
    let config: ModelConfig
    let map: TensorMap
    private let model: SafetensorsModel
    private let spec: TokenizerSpec

    init(directory: String, weights: String) throws(FormatError) {
        let source = try SourceConfig(huggingFace: directory + "/config.json")
        let model = try SafetensorsModel(path: weights)
        self.directory = directory
        config = source.config
        map = source.architecture.huggingFaceTensors.fitting { model.tensor($0) != nil }
        self.model = model
        spec = try Self.readTokenizer(directory, vocabularySize: config.vocabularySize)
    }

    /// The same from files in memory.
    init(config: MappedFile, tokenizer: [UInt8], weights: MappedFile) throws(FormatError) {
        let source = try SourceConfig(ConfigFields(config))
        let model = try SafetensorsModel(weights)
        directory = config.path
        self.config = source.config
        map = source.architecture.huggingFaceTensors.fitting { model.tensor($0) != nil }
        self.model = model
        do throws(TokenizerError) { spec = try TokenizerSpec(huggingFaceTokenizerJSON: tokenizer) } catch {
            throw FormatError(.unsupported, path: "tokenizer.json", "\(error)")
        }
    }

    var path: String { model.path }
    var tensorNames: [String] { model.shards.flatMap { $0.tensors.map { $0.name } } }

    func tensor(_ name: String) -> SourceTensor? {
        guard let (shard, tensor) = model.tensor(name) else { return nil }
        return SourceTensor(
            path: shard.file.path, name: name, shape: tensor.shape, typeName: tensor.typeName,
            format: tensor.format, bytes: shard.bytes(of: tensor), offset: tensor.range.lowerBound)
    }

    func tokenizerSpec() -> TokenizerSpec { spec }

    func writeMetadata(to writer: inout GGUFWriter) { spec.write(to: &writer) }

    /// The vocabulary in `tokenizer.json`; which tokens begin and end a text may be in `config.json` only.
    private static func readTokenizer(
        _ directory: String, vocabularySize: Int
    ) throws(FormatError) -> TokenizerSpec {
        func read(_ name: String) throws(FormatError) -> [UInt8] {
            let file = try MappedFile(path: directory + "/" + name)
            guard file.size <= 1 << 25 else {
                throw FormatError(
                    .unsupported, path: file.path, "has \(file.size) bytes; 32 MiB are supported")
            }
            return file.contents
        }
        let options = "tokenizer_config.json"
        let json = try read("tokenizer.json")
        let config = fileExists(directory + "/" + options) ? try read(options) : nil
        var spec: TokenizerSpec
        do throws(TokenizerError) {
            spec = try TokenizerSpec(huggingFaceTokenizerJSON: json, config: config)
        } catch {
            throw FormatError(.unsupported, path: directory + "/tokenizer.json", "\(error)")
        }
        let model = try JSON.read(path: directory + "/config.json", limit: 1 << 20)
        func id(_ key: String) -> Int32? {
            guard let id = model[key]?.integer, 0 <= id, id < vocabularySize else { return nil }
            return Int32(id)
        }
        spec.bos = spec.bos ?? id("bos_token_id")
        spec.eos = spec.eos ?? id("eos_token_id")
        return spec
    }
}
