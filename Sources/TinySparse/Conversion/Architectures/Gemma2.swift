// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Gemma 2: norms before and after attention and MLP, soft caps, every other layer sees the last tokens only.
/// Source: Transformers, `modeling_gemma2.py`; llama.cpp, `LLM_ARCH_GEMMA2`.
enum Gemma2: Architecture {
    static let name = "gemma2"
    static let huggingFaceClass = "Gemma2"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(activation: .gelu)
        config.norms.formUnion([.attentionPostNorm, .mlpPostNorm])
        config.attentionSoftCap = Float(try fields.optionalDouble("attn_logit_softcapping") ?? 50)
        config.logitSoftCap = Float(try fields.optionalDouble("final_logit_softcapping") ?? 30)
        config.windows = try fields.windows(config, standard: 4096) { $0 % 2 == 0 }
        return config
    }

    static func scales(_ fields: GGUFFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        // The file does not say how scores are scaled: the largest model does it by another width than that of a head.
        let width = config.nLayers == 46 ? Double(config.dModel) / Double(config.nHeads) : Double(config.headDim)
        return scales(config, scoreWidth: width)
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(name, decoder)
        config.biases = try fields.biases("attention_bias", nil)
        config.norms.formUnion([.attentionPostNorm, .mlpPostNorm])
        config.attentionSoftCap = try softCap(fields, "attn_logit_softcapping", standard: 50)
        config.logitSoftCap = try softCap(fields, "final_logit_softcapping", standard: 30)
        config.windows = try fields.windows(
            layers: config.nLayers, standard: 4096, context: config.contextLength
        ) { $0 % 2 == 0 }
        return config
    }

    static func scales(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        let width = try fields.double("query_pre_attn_scalar", default: 256)
        guard width > 0 else { throw fields.unsupported("query_pre_attn_scalar", "is \(width)") }
        return scales(config, scoreWidth: width)
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { tensors }

    // MARK: What Gemma 3 shares

    static let decoder = ConfigFields.Decoder(
        headDim: 256, kvHeads: 4, context: ("max_position_embeddings", 8192),
        activation: ("hidden_activation", .gelu), isTied: true)

    /// A cap whose null is none.
    static func softCap(_ fields: ConfigFields, _ key: String, standard: Double?) throws(FormatError) -> Float {
        let value = fields.json[key] == nil ? standard : try fields.optionalDouble(key)
        return Float(value ?? 0)
    }

    /// Embeddings are scaled up by the root of their width, and scores down by that of `scoreWidth`.
    static func scales(_ config: ModelConfig, scoreWidth: Double) -> FoldedScales {
        FoldedScales(
            embedding: Float(config.dModel).squareRoot(),
            attention: Float((Double(config.headDim) / scoreWidth).squareRoot()))
    }

    static let tensors = TensorMap(
        prefixes: Llama.tensors.prefixes, slots: Llama.tensors.slots, normAddend: 1, derived: Llama.tensors.derived
    ).with([
        .attentionPostNorm: "model.layers.#.post_attention_layernorm",
        .mlpNorm: "model.layers.#.pre_feedforward_layernorm",
        .mlpPostNorm: "model.layers.#.post_feedforward_layernorm",
    ])
}
