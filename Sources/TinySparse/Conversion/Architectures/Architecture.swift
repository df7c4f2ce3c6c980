// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// What is to know about a family of models in order to convert it: how its settings become a `ModelConfig`, and where its
/// tensors are.
///
/// To add an architecture, copy the file of one that is like it, change what differs, and add the type to `architectures`.
/// What the runtime cannot express has to be refused here, by the name of the setting. Settings that are read count as
/// understood; `ConfigChecks` and `GGUFChecks` refuse others that would change what the model computes.
protocol Architecture: SendableMetatype {
    /// Its name in `config.json` (`model_type`), and in GGUF files (`general.architecture`) unless `ggufNames` says others.
    static var name: String { get }
    /// Its names in GGUF files; empty if there are no such files.
    static var ggufNames: [String] { get }
    /// The names of its classes in Transformers without their endings: `Llama` for `LlamaForCausalLM`.
    static var huggingFaceClass: String { get }
    /// Whether published models come with code of their own (`auto_map`), which says the same.
    static var hasPublishedCode: Bool { get }

    /// The configuration that the metadata of a GGUF file describes.
    /// - Throws: `FormatError` naming the key.
    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig

    /// The configuration that the `config.json` of a Hugging Face model describes.
    /// - Throws: `FormatError` naming the field.
    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig

    /// Constant factors.
    static func scales(_ fields: GGUFFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales
    static func scales(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales

    /// How the matrices of layers are coded in a Hugging Face model.
    static func coding(_ fields: ConfigFields) throws(FormatError) -> WeightCoding

    /// The tensors of a GGUF file.
    static func ggufTensors(_ config: ModelConfig) -> TensorMap

    /// The tensors of a Hugging Face model.
    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap
}

extension Architecture {
    static var ggufNames: [String] { [name] }
    static var hasPublishedCode: Bool { false }
    static func scales(_ fields: GGUFFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        FoldedScales()
    }
    static func scales(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        FoldedScales()
    }
    static func coding(_ fields: ConfigFields) throws(FormatError) -> WeightCoding { .plain }
    static func ggufTensors(_ config: ModelConfig) -> TensorMap { TensorMap(derived: [GGUFFields.ropeFactorsName]) }
}

/// An architecture without GGUF files.
protocol HuggingFaceArchitecture: Architecture {}

extension HuggingFaceArchitecture {
    static var ggufNames: [String] { [] }
    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        throw fields.unsupported("block_count", "\(name) models have no GGUF files")
    }
}

/// What can be converted.
private let architectures = [
    Llama.known, Mistral.known, Qwen2.known, Qwen3.known, SmolLM3.known, Granite.known, OLMo2.known, Gemma2.known,
    Gemma3.known, Phi3.known, Phi.known, StableLM.known, GPT2.known, GPTNeoX.known, Falcon.known, Nemotron.known,
    Persimmon.known, OPT.known, BitNet.known, SparseLlama.known, SparseQwen2.known, ProSparse.known, Bamboo.known,
    MiniCPM.known, Mixtral.known, OLMoE.known, Qwen2MoE.known, Qwen3MoE.known, SmallThinker.known,
]

/// The architecture called `name`.
/// - Parameters:
///   - architectures: where to look.
///   - path: the file that names it.
///   - item: the key it is under.
///   - names: what an architecture is called there.
/// - Throws: `FormatError` that lists what is supported.
private func architecture(
    _ name: String, of architectures: [KnownArchitecture] = architectures, path: String, item: String,
    _ names: (KnownArchitecture) -> [String]
) throws(FormatError) -> KnownArchitecture {
    for architecture in architectures where names(architecture).contains(name) { return architecture }
    let supported = Set(architectures.flatMap(names)).sorted().joined(separator: ", ")
    throw FormatError(
        .unsupported, path: path, item: item,
        "architecture \"\(printable(name))\" is not supported; supported are \(supported)")
}

/// A configuration with the architecture it was read by.
package struct SourceConfig {
    package let config: ModelConfig
    let architecture: KnownArchitecture
    let scales: FoldedScales
    let coding: WeightCoding

    /// Reads the metadata of a GGUF file made by the converters of llama.cpp or its relatives.
    /// - Throws: `FormatError` naming the key.
    package init(gguf: GGUFParts) throws(FormatError) {
        let key = "general.architecture"
        try gguf.first.requireNoGPUSplit()
        let name = try gguf.first.string(key)
        architecture = try TinyConversion.architecture(
            name, of: gguf.first.isPowerInfer ? powerInferArchitectures : architectures, path: gguf.first.path,
            item: key
        ) { $0.ggufNames }
        let fields = GGUFFields(parts: gguf, architecture: name)
        (config, scales, coding) = try architecture.read(fields)
        try config.validate(path: gguf.first.path)
        try fields.requireUnderstood(context: config.contextLength)
    }

    /// Reads the `config.json` of a Hugging Face model.
    /// - Throws: `FormatError` naming the field.
    package init(huggingFace path: String) throws(FormatError) { try self.init(ConfigFields(path: path)) }

    init(_ fields: ConfigFields) throws(FormatError) {
        let key = "model_type"
        architecture = try TinyConversion.architecture(fields.string(key), path: fields.path, item: key) { [$0.name] }
        (config, scales, coding) = try architecture.readHuggingFace(fields)
        try config.validate(path: fields.path)
        try fields.requireUnderstood(of: architecture, context: config.contextLength)
    }
}
