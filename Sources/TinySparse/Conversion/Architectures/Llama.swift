// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Llama and what has its shape: RMS norms, rotary positions, grouped heads, a gated MLP.
/// Source: Transformers, `modeling_llama.py`; llama.cpp, `LLM_ARCH_LLAMA`.
enum Llama: Architecture {
    static let name = "llama"

    // MARK: GGUF

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        try fields.config(
            normKind: .rms, epsilon: "attention.layer_norm_rms_epsilon", activation: .silu, gated: true, isRotary: true,
            biases: fields.biases([.query, .key, .value, .attentionOutput, .gate, .up, .down]))
    }

    /// llama.cpp's converter interleaves the rotary pairs of llama models.
    static let ggufTensors = TensorMap(hasInterleavedPairs: true, derived: [GGUFFields.ropeFactorsName])

    // MARK: Hugging Face

    static let huggingFaceClass = "Llama"

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        let width = try fields.integer("hidden_size")
        let heads = try fields.integer("num_attention_heads")
        guard heads > 0 else { throw fields.unsupported("num_attention_heads", "is \(heads)") }
        let headDim = try fields.optionalInteger("head_dim") ?? width / heads
        let (positions, factors) = try fields.rope(headDim: headDim)
        var biases: Set<TensorRole> = []
        if try fields.bool("attention_bias") { biases.formUnion([.query, .key, .value, .attentionOutput]) }
        if try fields.bool("mlp_bias") { biases.formUnion([.gate, .up, .down]) }
        return ModelConfig(
            architecture: name, name: try fields.modelName(), vocabularySize: try fields.integer("vocab_size"),
            dModel: width, nLayers: try fields.integer("num_hidden_layers"), nHeads: heads,
            nKVHeads: try fields.optionalInteger("num_key_value_heads") ?? heads, headDim: headDim,
            dFF: try fields.integer("intermediate_size"),
            contextLength: try fields.integer("max_position_embeddings", default: 2048),
            normEpsilon: Float(try fields.double("rms_norm_eps", default: 1e-6)),
            normKind: .rms, activation: try fields.activation("hidden_act", default: .silu), gated: true,
            positions: positions, ropeFactors: factors, tiedHead: try fields.bool("tie_word_embeddings"),
            biases: biases)
    }

    static let huggingFaceTensors = TensorMap(
        prefixes: ["model.", ""],
        slots: [
            .tokenEmbedding: "model.embed_tokens",
            .attentionNorm: "model.layers.#.input_layernorm",
            .query: "model.layers.#.self_attn.q_proj",
            .key: "model.layers.#.self_attn.k_proj",
            .value: "model.layers.#.self_attn.v_proj",
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
