// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// GPT-NeoX, Pythia: layer norms, a part of each head rotated, biases, an MLP without gate; attention and MLP are added
/// side by side.
/// Source: Transformers, `modeling_gpt_neox.py`; llama.cpp, `LLM_ARCH_GPTNEOX`.
enum GPTNeoX: Architecture {
    static let name = "gpt_neox"
    static let ggufNames = ["gptneox"]
    static let huggingFaceClass = "GPTNeoX"

    private static let matrices: Set<TensorRole> = [.query, .key, .value, .attentionOutput, .up, .down]

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        // llama.cpp computes the tanh form of GELU; the models were trained with the exact one.
        var config = try fields.decoder(
            .layer, activation: .geluErf, gated: false, isPartial: true, biases: matrices)
        if try fields.bool("use_parallel_residual", default: true) { config.residual = .parallel }
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        let fused = TensorMap.Slot("blk.#.attn_qkv", fused: .queryKeyValue)
        return TensorMap(slots: [.query: fused, .key: fused, .value: fused])
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var rope = ConfigFields.Decoder.Rotation(share: ("rotary_pct", 0.25))
        rope.base = try fields.double("rotary_emb_base", default: 10_000)
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                normKind: .layer, epsilon: ("layer_norm_eps", 1e-5), activation: ("hidden_act", .geluErf),
                isGated: false, rope: rope))
        config.biases = try fields.bool("attention_bias", default: true) ? matrices : [.up, .down]
        if try fields.bool("use_parallel_residual", default: true) { config.residual = .parallel }
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        let fused = TensorMap.Slot("gpt_neox.layers.#.attention.query_key_value", fused: .byKeyValueHead)
        return TensorMap(
            prefixes: ["gpt_neox.", ""],
            slots: [
                .tokenEmbedding: "gpt_neox.embed_in",
                .attentionNorm: "gpt_neox.layers.#.input_layernorm",
                .query: fused, .key: fused, .value: fused,
                .attentionOutput: "gpt_neox.layers.#.attention.dense",
                .mlpNorm: "gpt_neox.layers.#.post_attention_layernorm",
                .up: "gpt_neox.layers.#.mlp.dense_h_to_4h",
                .down: "gpt_neox.layers.#.mlp.dense_4h_to_h",
                .outputNorm: "gpt_neox.final_layer_norm",
                .lmHead: "embed_out",
            ],
            derived: ["rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"])
    }
}
