// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// What is to know about a family of models in order to convert it: how its settings become a `ModelConfig`, and where its
/// tensors are.
///
/// To add an architecture, copy `Llama.swift`, change what differs, and add the type to `architectures`. What the
/// runtime cannot express has to be refused here, by the name of the setting.
protocol Architecture: SendableMetatype {
    /// Its name in GGUF files (`general.architecture`) and in `config.json` (`model_type`).
    static var name: String { get }

    /// The configuration that the metadata of a GGUF file describes.
    /// - Throws: `FormatError` naming the key.
    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig

    /// The configuration that the `config.json` of a Hugging Face model describes.
    /// - Throws: `FormatError` naming the field.
    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig

    /// The tensors of a GGUF file.
    static var ggufTensors: TensorMap { get }

    /// The names of its classes in Transformers without their endings: `Llama` for `LlamaForCausalLM`.
    static var huggingFaceClass: String { get }

    /// The tensors of a Hugging Face model.
    static var huggingFaceTensors: TensorMap { get }
}

/// What can be converted.
private let architectures: [any Architecture.Type] = [Llama.self, OPT.self]

/// The architecture called `name`.
/// - Parameters:
///   - path: the file that names it.
///   - item: the key it is under.
/// - Throws: `FormatError` that lists what is supported.
func architecture(_ name: String, path: String, item: String) throws(FormatError) -> any Architecture.Type {
    for architecture in architectures where architecture.name == name { return architecture }
    let supported = architectures.map { $0.name }.joined(separator: ", ")
    throw FormatError(
        .unsupported, path: path, item: item,
        "architecture \"\(printable(name))\" is not supported; supported are \(supported)")
}

/// A configuration with the architecture it was read by.
package struct SourceConfig {
    package let config: ModelConfig
    let architecture: any Architecture.Type

    /// Reads the metadata of a GGUF file made by the converters of llama.cpp or its relatives.
    /// - Throws: `FormatError` naming the key.
    package init(gguf: GGUFParts) throws(FormatError) {
        let key = "general.architecture"
        let name = try gguf.first.string(key)
        architecture = try TinyConversion.architecture(name, path: gguf.first.path, item: key)
        let fields = GGUFFields(parts: gguf, architecture: name)
        config = try architecture.config(fields)
        try config.validate(path: gguf.first.path)
        try fields.requireUnderstood()
    }

    /// Reads the `config.json` of a Hugging Face model.
    /// - Throws: `FormatError` naming the field.
    package init(huggingFace path: String) throws(FormatError) { try self.init(ConfigFields(path: path)) }

    init(_ fields: ConfigFields) throws(FormatError) {
        let key = "model_type"
        architecture = try TinyConversion.architecture(fields.string(key), path: fields.path, item: key)
        config = try architecture.config(fields)
        try config.validate(path: fields.path)
        try fields.requireUnderstood(of: architecture, context: config.contextLength)
    }
}
