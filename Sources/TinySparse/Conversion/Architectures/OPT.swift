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

    static let huggingFaceClass = "OPT"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        try fields.decoder(
            .layer, activation: .relu, gated: false, isRotary: false, biases: matricesWithBias)
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        TensorMap(slots: [.positions: TensorMap.Slot(skippedRows: skippedPositions)])
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                mlpWidth: "ffn_dim", context: ("max_position_embeddings", nil), normKind: .layer,
                activation: ("activation_function", .relu), isGated: false, isTied: true, rope: nil))
        // Not read from the file.
        (config.normEpsilon, config.nKVHeads) = (1e-5, config.nHeads)
        config.headDim = config.dModel / config.nHeads
        guard config.dModel % config.nHeads == 0 else {
            throw fields.unsupported("num_attention_heads", "\(config.nHeads) does not divide \(config.dModel)")
        }
        guard try fields.bool("layer_norm_elementwise_affine", default: true) else {
            throw fields.unsupported("layer_norm_elementwise_affine", "false is not supported")
        }
        config.embeddingWidth = try fields.optionalInteger("word_embed_proj_dim") ?? config.dModel
        config.biases = try fields.bool("enable_bias", default: true) ? matricesWithBias : []
        if try fields.bool("do_layer_norm_before", default: true) {
            if try fields.bool("_remove_final_layer_norm") { config.norms.remove(.outputNorm) }
        } else {
            config.norms = [.attentionPostNorm, .mlpPostNorm]
            config.residual = .normalized
        }
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        let isNormalized = config.residual == .normalized
        return TensorMap(
            prefixes: ["model.decoder.", "decoder."],
            slots: [
                .tokenEmbedding: "model.decoder.embed_tokens",
                .positions: TensorMap.Slot("model.decoder.embed_positions", skippedRows: skippedPositions),
                .embeddingIn: "model.decoder.project_in",
                .embeddingOut: "model.decoder.project_out",
                isNormalized ? .attentionPostNorm : .attentionNorm: "model.decoder.layers.#.self_attn_layer_norm",
                .query: "model.decoder.layers.#.self_attn.q_proj",
                .key: "model.decoder.layers.#.self_attn.k_proj",
                .value: "model.decoder.layers.#.self_attn.v_proj",
                .attentionOutput: "model.decoder.layers.#.self_attn.out_proj",
                isNormalized ? .mlpPostNorm : .mlpNorm: "model.decoder.layers.#.final_layer_norm",
                .up: "model.decoder.layers.#.fc1",
                .down: "model.decoder.layers.#.fc2",
                .outputNorm: "model.decoder.final_layer_norm",
                .lmHead: "lm_head",
            ])
    }
}
