// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinySupport
import TinyTokenizer

/// A source checkpoint: a model in a format other than the native one.
protocol ModelSource {
    /// What the user named.
    var path: String { get }
    var config: ModelConfig { get }
    /// All tensors, under the names the file gives them.
    var fileNames: [String] { get }
    /// The checkpoint's name for a tensor or bias.
    func fileName(of id: TensorID) -> String
    /// The tensor with that name of the file, or nil if there is none.
    func tensor(fileName: String) -> SourceTensor?
    /// The vocabulary, for checks.
    func tokenizerSpec() throws -> TokenizerSpec
    /// Writes the vocabulary and where the model comes from.
    func writeMetadata(to writer: inout GGUFWriter) throws
}

/// A tensor of a source checkpoint, in place.
struct SourceTensor {
    /// The file it is in, which may be a shard.
    let path: String
    /// Its name there.
    let name: String
    /// Outermost dimension first.
    let shape: [Int]
    /// The type's name, for messages.
    let typeName: String
    /// Nil for types that cannot be read.
    let format: BlockFormat?
    let bytes: UnsafeRawBufferPointer
    /// Where the bytes start in the file.
    let offset: Int

    func error(_ kind: FormatError.Kind, _ message: String) -> FormatError {
        FormatError(kind, path: path, item: name, offset: offset, message)
    }
}

/// Opens the source checkpoint at `path`: a .gguf file, a directory with `config.json`,
/// weights and `tokenizer.json`, or a .safetensors file in such a directory.
/// - Throws: `FormatError`; also for native files, which need no conversion.
func openSource(_ path: String) throws -> any ModelSource {
    if isDirectory(path) { return try HuggingFaceSource(directory: path, weights: path) }
    let file = try MappedFile(path: path)
    if !GGUF.matches(file), path.hasSuffix(".safetensors") {
        return try HuggingFaceSource(directory: directory(of: path), weights: path)
    }
    let gguf = try GGUF(file)
    guard !gguf.isNativeModel else {
        throw FormatError(
            .unsupported, path: path, item: ModelConfig.nativeFormatKey,
            "is a native file already; use it as it is")
    }
    return try GGUFSource(gguf)
}

/// A GGUF file made by the converters of llama.cpp.
struct GGUFSource: ModelSource {
    let gguf: GGUF
    let config: ModelConfig

    /// Most bytes of metadata copied to a native file.
    private static let metadataLimit = 1 << 28

    init(_ gguf: GGUF) throws {
        self.gguf = gguf
        config = try ModelConfig(gguf: gguf)
    }

    var path: String { gguf.path }
    var fileNames: [String] { gguf.tensors.map(\.name) }
    func fileName(of id: TensorID) -> String { id.stem + (id.isBias ? ".bias" : ".weight") }

    func tensor(fileName: String) -> SourceTensor? {
        guard let tensor = gguf.tensor(fileName) else { return nil }
        return SourceTensor(
            path: path, name: fileName, shape: tensor.dimensions.reversed(),
            typeName: tensor.format?.name ?? "number \(tensor.typeNumber)", format: tensor.format,
            bytes: gguf.bytes(of: tensor), offset: tensor.range.lowerBound)
    }

    func tokenizerSpec() throws -> TokenizerSpec { try TokenizerSpec(gguf: gguf) }

    func writeMetadata(to writer: inout GGUFWriter) throws {
        // These say something about the file at hand, and the native file its own.
        let own: Set = [
            "general.architecture", "general.name", "general.alignment", "general.file_type",
            "general.quantization_version",
        ]
        let entries = gguf.entries.filter {
            ($0.key.hasPrefix("general.") && !own.contains($0.key)) || $0.key.hasPrefix("tokenizer.")
        }
        guard entries.reduce(0, { $0 + $1.stored.count }) <= Self.metadataLimit else {
            throw FormatError(.unsupported, path: path, "has more than 256 MiB of metadata")
        }
        for entry in entries { writer.copy(entry, from: gguf.file) }
    }
}

/// A directory as the Hugging Face hub serves it.
struct HuggingFaceSource: ModelSource {
    let directory: String
    let config: ModelConfig
    private let architecture: any Architecture
    private let model: SafetensorsModel
    /// What the names of all tensors but the LM head start with.
    private let prefix: String
    private let spec: TokenizerSpec

    init(directory: String, weights: String) throws {
        self.directory = directory
        config = try ModelConfig(huggingFace: directory + "/config.json")
        let model = try SafetensorsModel(path: weights)
        self.model = model
        let architecture = try findArchitecture(
            named: config.architecture, path: directory + "/config.json", item: "model_type")
        self.architecture = architecture
        let embedding = TensorID(.tokenEmbedding)
        prefix =
            architecture.prefixes.first {
                model.tensor(architecture.huggingFaceName(embedding, prefix: $0)) != nil
            } ?? architecture.prefixes[0]
        spec = try Self.readTokenizer(directory, vocabularySize: config.vocabularySize)
    }

    var path: String { model.path }
    var fileNames: [String] { model.shards.flatMap { $0.tensors.map(\.name) } }

    func fileName(of id: TensorID) -> String { architecture.huggingFaceName(id, prefix: prefix) }

    func tensor(fileName: String) -> SourceTensor? {
        guard let (shard, tensor) = model.tensor(fileName) else { return nil }
        return SourceTensor(
            path: shard.file.path, name: fileName, shape: tensor.shape, typeName: tensor.typeName,
            format: tensor.format, bytes: shard.bytes(of: tensor), offset: tensor.range.lowerBound)
    }

    func tokenizerSpec() -> TokenizerSpec { spec }

    func writeMetadata(to writer: inout GGUFWriter) { spec.write(to: &writer) }

    /// The vocabulary in `tokenizer.json`; which tokens begin and end a text may
    /// stand in `config.json` only.
    private static func readTokenizer(
        _ directory: String, vocabularySize: Int
    ) throws -> TokenizerSpec {
        func read(_ name: String) throws -> [UInt8] {
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
