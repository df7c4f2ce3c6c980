// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Persimmon: layer norms, also of queries and keys, half of each head rotated, an MLP without gate whose activation is the
/// square of ReLU, biases.
/// Source: Transformers, `modeling_persimmon.py`.
enum Persimmon: HuggingFaceArchitecture {
    static let name = "persimmon"
    static let huggingFaceClass = "Persimmon"

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                context: ("max_position_embeddings", 16_384), normKind: .layer, epsilon: ("layer_norm_eps", 1e-5),
                activation: ("hidden_act", .relu2), isGated: false,
                rope: ConfigFields.Decoder.Rotation(share: ("partial_rotary_factor", 0.5))))
        config.nKVHeads = config.nHeads
        config.biases = [.query, .key, .value, .attentionOutput, .up, .down]
        if try fields.bool("qk_layernorm", default: true) { config.norms.formUnion([.queryNorm, .keyNorm]) }
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        let fused = TensorMap.Slot("model.layers.#.self_attn.query_key_value", fused: .byKeyValueHead)
        return Llama.tensors.with([
            .query: fused, .key: fused, .value: fused,
            .queryNorm: "model.layers.#.self_attn.q_layernorm",
            .keyNorm: "model.layers.#.self_attn.k_layernorm",
            .attentionOutput: "model.layers.#.self_attn.dense",
            .up: "model.layers.#.mlp.dense_h_to_4h",
            .down: "model.layers.#.mlp.dense_4h_to_h",
            .outputNorm: "model.final_layernorm",
        ])
    }
}
