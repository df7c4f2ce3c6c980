// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Qwen 1.5 and 2 with experts, one of them shared and gated.
/// Source: Transformers, `modeling_qwen2_moe.py`; llama.cpp, `LLM_ARCH_QWEN2MOE`.
enum Qwen2MoE: Architecture {
    static let name = "qwen2_moe"
    static let ggufNames = ["qwen2moe"]
    static let huggingFaceClass = "Qwen2Moe"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try Qwen2.config(fields)
        var experts = try fields.experts(width: fields.integer("expert_feed_forward_length"), normalizes: false)
        experts.gatesShared = true
        try config.become(experts, shared: fields.integer("expert_shared_feed_forward_length"))
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        TensorMap(slots: GGUFFields.expertSlots).with([
            .gate: .experts("blk.#.ffn_gate_exps", shared: "blk.#.ffn_gate_shexp"),
            .up: .experts("blk.#.ffn_up_exps", shared: "blk.#.ffn_up_shexp"),
            .down: .experts("blk.#.ffn_down_exps", shared: "blk.#.ffn_down_shexp"),
            .sharedGate: "blk.#.ffn_gate_inp_shexp",
        ])
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name, ConfigFields.Decoder(kvHeads: 16, context: ("max_position_embeddings", 32_768)))
        config.biases = try fields.bool("qkv_bias", default: true) ? [.query, .key, .value] : []
        try fields.requireExpertsEverywhere()
        guard try !fields.bool("use_sliding_window") else {
            throw fields.unsupported("use_sliding_window", "true is not supported")
        }
        var experts = Experts(
            count: try fields.integer("num_experts", default: 60),
            active: try fields.integer("num_experts_per_tok", default: 4),
            width: try fields.integer("moe_intermediate_size", default: 1408),
            normalizes: try fields.bool("norm_topk_prob"))
        experts.gatesShared = true
        try config.become(experts, shared: fields.integer("shared_expert_intermediate_size", default: 5632))
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        func slot(_ matrix: String) -> TensorMap.Slot {
            .experts("model.layers.#.mlp.experts.@." + matrix, shared: "model.layers.#.mlp.shared_expert." + matrix)
        }
        return Llama.tensors.with([
            .router: "model.layers.#.mlp.gate", .sharedGate: "model.layers.#.mlp.shared_expert_gate",
            .gate: slot("gate_proj"), .up: slot("up_proj"), .down: slot("down_proj"),
        ])
    }
}

/// Qwen 3 with experts.
/// Source: Transformers, `modeling_qwen3_moe.py`; llama.cpp, `LLM_ARCH_QWEN3MOE`.
enum Qwen3MoE: Architecture {
    static let name = "qwen3_moe"
    static let ggufNames = ["qwen3moe"]
    static let huggingFaceClass = "Qwen3Moe"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try Qwen3.config(fields)
        try config.become(
            fields.experts(width: fields.integer("expert_feed_forward_length"), normalizes: true))
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { OLMoE.ggufTensors(config) }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name, ConfigFields.Decoder(kvHeads: 4, context: ("max_position_embeddings", 32_768)))
        config.biases = try fields.biases("attention_bias", nil)
        config.norms.formUnion([.queryNorm, .keyNorm])
        try fields.requireExpertsEverywhere()
        guard try !fields.bool("use_sliding_window") else {
            throw fields.unsupported("use_sliding_window", "true is not supported")
        }
        try config.become(
            Experts(
                count: fields.integer("num_experts", default: 128),
                active: fields.integer("num_experts_per_tok", default: 8),
                width: fields.integer("moe_intermediate_size", default: 768),
                normalizes: fields.bool("norm_topk_prob")))
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors.with(ConfigFields.expertSlots) }
}

extension ConfigFields {
    /// - Throws: `FormatError` if some layers have experts and some do not.
    fileprivate func requireExpertsEverywhere() throws(FormatError) {
        guard value("mlp_only_layers")?.array?.isEmpty ?? true else {
            throw unsupported("mlp_only_layers", "layers without experts among those with some are not supported")
        }
        guard try integer("decoder_sparse_step", default: 1) == 1 else {
            throw unsupported("decoder_sparse_step", "layers without experts among those with some are not supported")
        }
    }
}
