// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Typed access to the metadata of a GGUF file below the key of its architecture ("llama.block_count"), and to what
/// several architectures say alike.
struct GGUFFields {
    let parts: GGUFParts
    let architecture: String

    /// The file with the metadata.
    var gguf: GGUF { parts.first }

    func key(_ name: String) -> String { "\(architecture).\(name)" }

    func integer(_ name: String) throws(FormatError) -> Int { try gguf.integer(key(name)) }
    func optionalInteger(_ name: String) throws(FormatError) -> Int? { try gguf.optionalInteger(key(name)) }
    func double(_ name: String) throws(FormatError) -> Double { try gguf.double(key(name)) }
    func optionalDouble(_ name: String) throws(FormatError) -> Double? { try gguf.optionalDouble(key(name)) }
    func optionalString(_ name: String) throws(FormatError) -> String? { try gguf.optionalString(key(name)) }

    func unsupported(_ name: String, _ message: String) -> FormatError {
        FormatError(.unsupported, path: gguf.path, item: key(name), message)
    }

    /// Whether the file has the weight of a role that a model has once.
    private func has(_ role: TensorRole) -> Bool { parts.tensor(TensorID(role).name) != nil }

    /// Those of `roles` that have a bias in the first layer. Whether the other layers agree shows when their tensors
    /// are looked for.
    func biases(_ roles: [TensorRole]) -> Set<TensorRole> {
        Set(roles.filter { parts.tensor(TensorID($0, 0).bias.name) != nil })
    }

    /// A name for people, repaired if it is not UTF-8.
    private func modelName() -> String {
        guard let entry = gguf.entry("general.name"), entry.type == .string else { return architecture }
        return String(decoding: gguf.file.bytes[entry.range], as: UTF8.self)
    }

    /// The setting, or else the number of tokens of the vocabulary.
    private func vocabularySize() throws(FormatError) -> Int {
        if let size = try optionalInteger("vocab_size") { return size }
        guard let tokens = gguf.entry("tokenizer.ggml.tokens")?.element else { throw gguf.missing(key("vocab_size")) }
        return tokens.count
    }

    /// The configuration: its sizes, which all architectures name alike, and what the architecture says.
    /// - Parameters:
    ///   - epsilon: the setting that has the norms' epsilon.
    ///   - isRotary: whether positions are rotary, and not learned.
    /// - Throws: `FormatError` naming the key.
    func config(
        normKind: ModelConfig.Norm, epsilon: String, activation: ModelConfig.Activation, gated: Bool, isRotary: Bool,
        biases: Set<TensorRole>
    ) throws(FormatError) -> ModelConfig {
        let width = try integer("embedding_length")
        let (heads, kvHeads, headDim) = try heads(width: width)
        return ModelConfig(
            architecture: architecture, name: modelName(), vocabularySize: try vocabularySize(), dModel: width,
            nLayers: try integer("block_count"), nHeads: heads, nKVHeads: kvHeads, headDim: headDim,
            dFF: try integer("feed_forward_length"), contextLength: try integer("context_length"),
            normEpsilon: Float(try optionalDouble(epsilon) ?? 1e-5), normKind: normKind, activation: activation,
            gated: gated, positions: isRotary ? try rope(headDim: headDim) : .learned,
            ropeFactors: isRotary ? try ropeFactors() : [], tiedHead: !has(.lmHead), biases: biases)
    }

    /// Heads for queries, heads for keys and values, and the width of a head.
    /// - Throws: `FormatError`, also for mixtures of experts, whose other sizes are alike.
    private func heads(width: Int) throws(FormatError) -> (heads: Int, kvHeads: Int, headDim: Int) {
        if let experts = try optionalInteger("expert_count"), experts > 0 {
            throw unsupported("expert_count", "mixtures of experts are not supported")
        }
        let heads = try integer("attention.head_count")
        guard heads > 0, width > 0 else {
            throw FormatError(
                .malformed, path: gguf.path, item: key("attention.head_count"),
                "\(heads) heads of an embedding of \(width)")
        }
        let headDim = try optionalInteger("attention.key_length") ?? width / heads
        let valueDim = try optionalInteger("attention.value_length") ?? headDim
        guard valueDim == headDim else {
            throw unsupported("attention.value_length", "\(valueDim) differs from the key length \(headDim)")
        }
        return (heads, try optionalInteger("attention.head_count_kv") ?? heads, headDim)
    }
}
