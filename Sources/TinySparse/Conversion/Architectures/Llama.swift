// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Llama and what has its shape: RMS norms, rotary positions, grouped heads, a gated MLP; GGUF files of Mistral and
/// Mixtral, too.
/// Source: Transformers, `modeling_llama.py`; llama.cpp, `LLM_ARCH_LLAMA`.
enum Llama: Architecture {
    static let name = "llama"
    static let huggingFaceClass = "Llama"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            activation: .silu, biases: fields.biases([.query, .key, .value, .attentionOutput, .gate, .up, .down]))
        // Mixtral.
        if try (fields.optionalInteger("expert_count") ?? 0) > 0 {
            try config.become(fields.experts(width: config.dFF, normalizes: true))
        }
        return config
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(name)
        config.biases = try fields.biases()
        return config
    }

    /// llama.cpp's converter interleaves the rotary pairs of some architectures, this among them.
    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        TensorMap(
            slots: config.experts == nil ? [:] : GGUFFields.expertSlots, hasInterleavedPairs: true,
            derived: GGUFFields.ropeFactorNames)
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { tensors }

    /// The names of most families, Llama's.
    static let tensors = TensorMap(
        prefixes: ["model.", ""],
        slots: [
            .tokenEmbedding: "model.embed_tokens",
            .attentionNorm: "model.layers.#.input_layernorm",
            .query: "model.layers.#.self_attn.q_proj",
            .key: "model.layers.#.self_attn.k_proj",
            .value: "model.layers.#.self_attn.v_proj",
            .queryNorm: "model.layers.#.self_attn.q_norm",
            .keyNorm: "model.layers.#.self_attn.k_norm",
            .attentionOutput: "model.layers.#.self_attn.o_proj",
            .mlpNorm: "model.layers.#.post_attention_layernorm",
            .up: "model.layers.#.mlp.up_proj",
            .gate: "model.layers.#.mlp.gate_proj",
            .down: "model.layers.#.mlp.down_proj",
            .outputNorm: "model.norm",
            .lmHead: "lm_head",
        ],
        derived: ["rotary_emb.inv_freq"])
}
