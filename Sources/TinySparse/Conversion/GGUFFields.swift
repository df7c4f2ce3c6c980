// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Typed access to the metadata of a GGUF file below the key of its architecture ("llama.block_count"), and to what
/// several architectures say alike.
struct GGUFFields {
    let parts: GGUFParts
    let architecture: String
    /// The settings that have been read: what an architecture reads, it understands.
    private let reads = ReadKeys()

    init(parts: GGUFParts, architecture: String) {
        self.parts = parts
        self.architecture = architecture
    }

    /// The file with the metadata.
    var gguf: GGUF { parts.first }

    /// `llama.NAME`
    func key(_ name: String) -> String { "\(architecture).\(name)" }

    private func reading(_ name: String) -> String {
        reads.insert(name)
        return key(name)
    }

    /// Whether a setting has been read.
    func hasRead(_ name: String) -> Bool { reads.contains(name) }

    func entry(_ name: String) -> GGUFEntry? { gguf.entry(reading(name)) }
    func integer(_ name: String) throws(FormatError) -> Int { try gguf.integer(reading(name)) }
    func optionalInteger(_ name: String) throws(FormatError) -> Int? { try gguf.optionalInteger(reading(name)) }
    func double(_ name: String) throws(FormatError) -> Double { try gguf.double(reading(name)) }
    func optionalDouble(_ name: String) throws(FormatError) -> Double? { try gguf.optionalDouble(reading(name)) }
    func optionalString(_ name: String) throws(FormatError) -> String? { try gguf.optionalString(reading(name)) }
    func bool(_ name: String, default standard: Bool) throws(FormatError) -> Bool {
        entry(name) == nil ? standard : try gguf.bool(key(name))
    }

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

    /// Whether the first layer has a tensor of a role, which may be fused with others.
    func hasLayerTensor(_ role: TensorRole, bias: Bool = false) -> Bool {
        let id = TensorID(role, 0)
        return parts.tensor(bias ? id.bias.name : id.name) != nil
    }

    /// The biases of matrices of which some may be fused in `attn_qkv`.
    func biasesWithFusedQueries() -> Set<TensorRole> {
        let fused: Set<TensorRole> =
            parts.tensor("blk.0.attn_qkv.bias") == nil ? [] : [.query, .key, .value]
        return biases([.query, .key, .value, .attentionOutput, .gate, .up, .down]).union(fused)
    }

    /// The configuration: its sizes, which all architectures name alike, and what the architecture says.
    /// - Parameters:
    ///   - activation: what the file says nothing of, usually.
    ///   - isPartial: whether only some dimensions of a head may be rotated.
    /// - Throws: `FormatError` naming the key.
    func decoder(
        _ normKind: ModelConfig.Norm = .rms, activation: ModelConfig.Activation, gated: Bool = true,
        isRotary: Bool = true, isPartial: Bool = false, biases: Set<TensorRole> = []
    ) throws(FormatError) -> ModelConfig {
        let width = try integer("embedding_length")
        let (heads, kvHeads, headDim) = try heads(width: width)
        let epsilon = normKind == .rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"
        return ModelConfig(
            architecture: architecture, name: modelName(), vocabularySize: try vocabularySize(), dModel: width,
            nLayers: try integer("block_count"), nHeads: heads, nKVHeads: kvHeads, headDim: headDim,
            dFF: try integer("feed_forward_length"), contextLength: try integer("context_length"),
            normEpsilon: Float(try optionalDouble(epsilon) ?? 1e-5), normKind: normKind,
            activation: try self.activation(default: activation), gated: gated,
            positions: isRotary ? .rope(try rotation(headDim: headDim, isPartial: isPartial)) : .learned,
            tiedHead: !has(.lmHead), biases: biases)
    }

    /// The activation function: files seldom say it.
    private func activation(default standard: ModelConfig.Activation) throws(FormatError) -> ModelConfig.Activation {
        guard let name = try optionalString("hidden_activation") else { return standard }
        switch name {
        case "silu", "swish": return .silu
        case "relu": return .relu
        case "relu2", "relu_squared", "relu_sqr": return .relu2
        case "gelu_new", "gelu_pytorch_tanh": return .gelu
        case "gelu": return .geluErf
        default: throw unsupported("hidden_activation", "\"\(printable(name))\" is not supported")
        }
    }

    /// How many tokens each layer sees.
    /// - Parameter slides: whether a layer's attention is limited.
    /// - Returns: empty if all layers see all tokens.
    func windows(_ config: ModelConfig, standard: Int? = nil, slides: (Int) -> Bool) throws(FormatError) -> [Int] {
        guard let window = try optionalInteger("attention.sliding_window") ?? standard, window > 0,
            window < config.contextLength
        else { return [] }
        return ModelConfig.layers(config.nLayers).map { slides($0) ? window : 0 }
    }

    /// Heads for queries, heads for keys and values, and the width of a head.
    private func heads(width: Int) throws(FormatError) -> (heads: Int, kvHeads: Int, headDim: Int) {
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
