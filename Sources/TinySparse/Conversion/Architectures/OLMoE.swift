// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// OLMoE: experts, and norms of all queries and keys together.
/// Source: Transformers, `modeling_olmoe.py`; llama.cpp, `LLM_ARCH_OLMOE`.
enum OLMoE: Architecture {
    static let name = "olmoe"
    static let huggingFaceClass = "Olmoe"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = normed(try fields.decoder(activation: .silu))
        try config.become(fields.experts(width: config.dFF, normalizes: false))
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { TensorMap(slots: GGUFFields.expertSlots) }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = normed(
            try fields.decoder(
                name,
                ConfigFields.Decoder(context: ("max_position_embeddings", 4096), epsilon: ("rms_norm_eps", 1e-5))))
        config.biases = try fields.biases("attention_bias", nil)
        try config.become(
            Experts(
                count: fields.integer("num_experts", default: 64),
                active: fields.integer("num_experts_per_tok", default: 8), width: config.dFF,
                normalizes: fields.bool("norm_topk_prob")))
        return config
    }

    private static func normed(_ config: ModelConfig) -> ModelConfig {
        var config = config
        config.norms.formUnion([.queryNorm, .keyNorm])
        config.normalizesAllHeads = true
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors.with(ConfigFields.expertSlots) }
}

extension ConfigFields {
    /// Where most families have their experts.
    static let expertSlots: [TensorRole: TensorMap.Slot] = [
        .router: "model.layers.#.mlp.gate",
        .gate: .experts("model.layers.#.mlp.experts.@.gate_proj"),
        .up: .experts("model.layers.#.mlp.experts.@.up_proj"),
        .down: .experts("model.layers.#.mlp.experts.@.down_proj"),
    ]
}

extension GGUFFields {
    /// Where files have their experts.
    static let expertSlots: [TensorRole: TensorMap.Slot] = [
        .router: "blk.#.ffn_gate_inp",
        .gate: .experts("blk.#.ffn_gate_exps"),
        .up: .experts("blk.#.ffn_up_exps"),
        .down: .experts("blk.#.ffn_down_exps"),
    ]

    /// The experts of a layer.
    func experts(width: Int, normalizes: Bool) throws(FormatError) -> Experts {
        Experts(
            count: try integer("expert_count"), active: try integer("expert_used_count"), width: width,
            normalizes: normalizes)
    }
}
