// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// GPT-2: layer norms, learned positions, biases, an MLP without gate; matrices stored by input.
/// Source: Transformers, `modeling_gpt2.py`; llama.cpp, `LLM_ARCH_GPT2`.
enum GPT2: Architecture {
    static let name = "gpt2"
    static let huggingFaceClass = "GPT2"

    private static let biases: Set<TensorRole> = [.query, .key, .value, .attentionOutput, .up, .down]

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        try fields.decoder(.layer, activation: .gelu, gated: false, isRotary: false, biases: biases)
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        let fused = TensorMap.Slot("blk.#.attn_qkv", fused: .queryKeyValue)
        return TensorMap(slots: [.query: fused, .key: fused, .value: fused])
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                width: "n_embd", layers: "n_layer", heads: "n_head", mlpWidth: "n_inner", mlpFactor: 4,
                context: ("n_positions", 1024), normKind: .layer, epsilon: ("layer_norm_epsilon", 1e-5),
                activation: ("activation_function", .gelu), isGated: false, isTied: true, rope: nil))
        config.biases = biases
        return config
    }

    static func scales(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        var scales = FoldedScales()
        if try !fields.bool("scale_attn_weights", default: true) {
            scales.attention = Float(config.headDim).squareRoot()
        }
        scales.dividesAttentionByLayer = try fields.bool("scale_attn_by_inverse_layer_idx")
        return scales
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        func stored(_ name: String, _ fused: TensorMap.FusedRows? = nil) -> TensorMap.Slot {
            TensorMap.Slot("transformer.h.#." + name, fused: fused, orientation: .inputsFirst)
        }
        return TensorMap(
            prefixes: ["transformer.", ""],
            slots: [
                .tokenEmbedding: "transformer.wte",
                .positions: "transformer.wpe",
                .attentionNorm: "transformer.h.#.ln_1",
                .query: stored("attn.c_attn", .queryKeyValue),
                .key: stored("attn.c_attn", .queryKeyValue),
                .value: stored("attn.c_attn", .queryKeyValue),
                .attentionOutput: stored("attn.c_proj"),
                .mlpNorm: "transformer.h.#.ln_2",
                .up: stored("mlp.c_fc"),
                .down: stored("mlp.c_proj"),
                .outputNorm: "transformer.ln_f",
                .lmHead: "lm_head",
            ],
            // Masks.
            derived: [".attn.bias", ".attn.masked_bias"])
    }
}
