// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// SmallThinker: experts with ReLU, chosen before attention from what the layer gets; some layers have no positions, some
/// see the last tokens only.
/// Source: PowerInfer/SmallThinker-4BA0.6B-Instruct, `modeling_smallthinker.py`; llama.cpp, `LLM_ARCH_SMALLTHINKER`.
enum SmallThinker: Architecture {
    static let name = "smallthinker"
    static let huggingFaceClass = "SmallThinker"
    static let hasPublishedCode = true

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(activation: .relu)
        // Files do not say which layers have positions: where there is a window, three of four, which have it.
        config.windows = try fields.windows(config) { $0 % 4 != 0 }
        if try (fields.optionalInteger("attention.sliding_window") ?? 0) > 0 {
            config.rotateLayers { $0 % 4 != 0 }
        }
        var experts = try fields.experts(width: fields.integer("expert_feed_forward_length"), normalizes: true)
        let gating = try fields.integer("expert_gating_func")
        guard 1...2 ~= gating else { throw fields.unsupported("expert_gating_func", "\(gating) is not supported") }
        experts.router = gating == 1 ? .softmax : .sigmoid
        experts.looksAhead = true
        try config.become(experts)
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { OLMoE.ggufTensors(config) }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                headDim: 128, mlpWidth: "moe_ffn_hidden_size", context: ("max_position_embeddings", 4096),
                activation: ("hidden_act", .relu), isTied: true,
                rope: ConfigFields.Decoder.Rotation(base: 1_000_000)))
        // The code has ReLU whatever this says.
        config.activation = .relu
        for key in ["moe_enable_secondary_experts", "use_qk_norm"] where try fields.bool(key) {
            throw fields.unsupported(key, "true is not supported")
        }
        let shared = try fields.integer("moe_shared_primary_experts", default: 0)
        guard shared == 0 else {
            throw fields.unsupported("moe_shared_primary_experts", "\(shared) is not supported")
        }
        if let layout = try fields.integers("rope_layout", count: config.nLayers) {
            config.layerRopes = layout.map { $0 != 0 ? .main : .none }
        }
        let window = try fields.optionalInteger("sliding_window_size") ?? 4096
        if let layout = try fields.integers("sliding_window_layout", count: config.nLayers),
            window < config.contextLength
        {
            config.windows = layout.map { $0 != 0 ? window : 0 }
        }
        var experts = Experts(
            count: try fields.integer("moe_num_primary_experts"),
            active: try fields.integer("moe_num_active_primary_experts"), width: config.dFF, normalizes: true)
        experts.router = try fields.bool("moe_primary_router_apply_softmax") ? .softmax : .sigmoid
        experts.looksAhead = true
        try config.become(experts)
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        Llama.tensors.with([
            .router: "model.layers.#.block_sparse_moe.primary_router",
            .gate: .experts("model.layers.#.block_sparse_moe.experts.@.gate"),
            .up: .experts("model.layers.#.block_sparse_moe.experts.@.up"),
            .down: .experts("model.layers.#.block_sparse_moe.experts.@.down"),
        ])
    }
}
