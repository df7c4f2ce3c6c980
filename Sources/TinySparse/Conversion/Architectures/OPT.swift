// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// OPT: layer norms, learned positions, biases, an MLP without gate.
/// Source: Transformers, `modeling_opt.py`. GGUF files of it come from relatives of llama.cpp (PowerInfer).
enum OPT: Architecture {
    static let name = "opt"

    /// Rows of the table of positions that stand for no position.
    private static let skippedPositions = 2
    private static let matricesWithBias: Set<TensorRole> = [.query, .key, .value, .attentionOutput, .up, .down]

    // MARK: GGUF

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        try fields.config(
            normKind: .layer, epsilon: "attention.layer_norm_epsilon", activation: .relu, gated: false, isRotary: false,
            biases: matricesWithBias)
    }

    static let ggufTensors = TensorMap(
        slots: [.positions: TensorMap.Slot(skippedRows: skippedPositions)])

    // MARK: Hugging Face

    static let huggingFaceClass = "OPT"

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        let width = try fields.integer("hidden_size")
        let heads = try fields.integer("num_attention_heads")
        guard heads > 0, width % heads == 0 else {
            throw fields.unsupported("num_attention_heads", "\(heads) does not divide \(width)")
        }
        guard try fields.optionalInteger("word_embed_proj_dim") ?? width == width else {
            throw fields.unsupported("word_embed_proj_dim", "embeddings narrower than the model are not supported")
        }
        for (key, supported) in [
            ("do_layer_norm_before", true), ("_remove_final_layer_norm", false),
            ("layer_norm_elementwise_affine", true),
        ] {
            guard try fields.bool(key, default: supported) == supported else {
                throw fields.unsupported(key, "\(!supported) is not supported")
            }
        }
        return ModelConfig(
            architecture: name, name: try fields.modelName(), vocabularySize: try fields.integer("vocab_size"),
            dModel: width, nLayers: try fields.integer("num_hidden_layers"), nHeads: heads, nKVHeads: heads,
            headDim: width / heads, dFF: try fields.integer("ffn_dim"),
            contextLength: try fields.integer("max_position_embeddings"), normEpsilon: 1e-5, normKind: .layer,
            activation: try fields.activation("activation_function", default: .relu), gated: false,
            positions: .learned, ropeFactors: [], tiedHead: try fields.bool("tie_word_embeddings", default: true),
            biases: try fields.bool("enable_bias", default: true) ? matricesWithBias : [])
    }

    static let huggingFaceTensors = TensorMap(
        prefixes: ["model.decoder.", "decoder."],
        slots: [
            .tokenEmbedding: "model.decoder.embed_tokens",
            .positions: TensorMap.Slot("model.decoder.embed_positions", skippedRows: skippedPositions),
            .attentionNorm: "model.decoder.layers.#.self_attn_layer_norm",
            .query: "model.decoder.layers.#.self_attn.q_proj",
            .key: "model.decoder.layers.#.self_attn.k_proj",
            .value: "model.decoder.layers.#.self_attn.v_proj",
            .attentionOutput: "model.decoder.layers.#.self_attn.out_proj",
            .mlpNorm: "model.decoder.layers.#.final_layer_norm",
            .up: "model.decoder.layers.#.fc1",
            .down: "model.decoder.layers.#.fc2",
            .outputNorm: "model.decoder.final_layer_norm",
            .lmHead: "lm_head",
        ])
}
