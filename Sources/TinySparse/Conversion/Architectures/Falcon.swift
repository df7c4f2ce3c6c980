// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Falcon: few heads of keys and values, rotary positions, an MLP without gate; attention and MLP are added side by side,
/// from one norm or two.
/// Source: Transformers, `modeling_falcon.py`; llama.cpp, `LLM_ARCH_FALCON`.
enum Falcon: Architecture {
    static let name = "falcon"
    static let huggingFaceClass = "Falcon"
    static let hasPublishedCode = true

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        // llama.cpp computes the tanh form of GELU; the models were trained with the exact one.
        var config = try fields.decoder(.layer, activation: .geluErf, gated: false)
        config.biases = fields.biasesWithFusedQueries()
        becomeParallel(&config, norms: fields.parts.tensor("blk.0.attn_norm_2.weight") == nil ? 1 : 2)
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        let fused = TensorMap.Slot("blk.#.attn_qkv", fused: .queryKeyValue)
        var map = TensorMap(slots: [.query: fused, .key: fused, .value: fused])
        // Where there are two, the first is the MLP's.
        if config.norms.contains(.mlpNorm) {
            map = map.with([.attentionNorm: "blk.#.attn_norm_2", .mlpNorm: "blk.#.attn_norm"])
        }
        return map
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        guard try !fields.bool("alibi") else { throw fields.unsupported("alibi", "true is not supported") }
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                mlpWidth: "ffn_hidden_size", mlpFactor: 4, normKind: .layer, epsilon: ("layer_norm_epsilon", 1e-5),
                activation: ("activation", .geluErf), isGated: false, isTied: true))
        let isNew = try fields.bool("new_decoder_architecture")
        let hasOneKey = try fields.bool("multi_query", default: true)
        let kvHeads = try fields.optionalInteger("num_kv_heads") ?? config.nHeads
        config.nKVHeads = isNew ? kvHeads : hasOneKey ? 1 : config.nHeads
        if try fields.bool("bias") { config.biases = [.query, .key, .value, .attentionOutput, .up, .down] }
        let norms = try fields.optionalInteger("num_ln_in_parallel_attn") ?? 2
        guard isNew || norms == 2 || fields.json["num_ln_in_parallel_attn"] == nil, 1...2 ~= norms else {
            throw fields.unsupported("num_ln_in_parallel_attn", "\(norms) is not supported here")
        }
        let isParallel = try fields.bool("parallel_attn", default: true)
        if isNew || isParallel {
            becomeParallel(&config, norms: isNew ? norms : 1)
        }
        return config
    }

    private static func becomeParallel(_ config: inout ModelConfig, norms: Int) {
        config.residual = .parallel
        if norms == 1 { config.norms.remove(.mlpNorm) }
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        let fused = TensorMap.Slot("transformer.h.#.self_attention.query_key_value", fused: .byKeyValueHead)
        let hasTwoNorms = config.residual == .parallel && config.norms.contains(.mlpNorm)
        return TensorMap(
            prefixes: ["transformer.", ""],
            slots: [
                .tokenEmbedding: "transformer.word_embeddings",
                .attentionNorm: TensorMap.Slot("transformer.h.#." + (hasTwoNorms ? "ln_attn" : "input_layernorm")),
                .query: fused, .key: fused, .value: fused,
                .attentionOutput: "transformer.h.#.self_attention.dense",
                .mlpNorm: TensorMap.Slot("transformer.h.#." + (hasTwoNorms ? "ln_mlp" : "post_attention_layernorm")),
                .up: "transformer.h.#.mlp.dense_h_to_4h",
                .down: "transformer.h.#.mlp.dense_4h_to_h",
                .outputNorm: "transformer.ln_f",
                .lmHead: "lm_head",
            ],
            derived: ["rotary_emb.inv_freq"])
    }
}
