// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Mixtral: Mistral with experts, whose weights are made to sum to 1. Its GGUF files are Llama's with experts.
/// Source: Transformers, `modeling_mixtral.py`; llama.cpp, `LLM_ARCH_LLAMA`.
enum Mixtral: HuggingFaceArchitecture {
    static let name = "mixtral"
    static let huggingFaceClass = "Mixtral"

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                kvHeads: 8, context: ("max_position_embeddings", 131_072), epsilon: ("rms_norm_eps", 1e-5),
                rope: ConfigFields.Decoder.Rotation(base: 1_000_000)))
        config.windows = try fields.windows(
            layers: config.nLayers, standard: nil, context: config.contextLength
        ) { _ in true }
        try config.become(
            Experts(
                count: fields.integer("num_local_experts", default: 8),
                active: fields.integer("num_experts_per_tok", default: 2), width: config.dFF, normalizes: true))
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        Llama.tensors.with([
            .router: "model.layers.#.block_sparse_moe.gate",
            .gate: .experts("model.layers.#.block_sparse_moe.experts.@.w1"),
            .up: .experts("model.layers.#.block_sparse_moe.experts.@.w3"),
            .down: .experts("model.layers.#.block_sparse_moe.experts.@.w2"),
        ])
    }
}

extension ModelConfig {
    /// Gives a layer experts, and a shared one of `shared` neurons.
    mutating func become(_ experts: Experts, shared: Int = 0) throws(FormatError) {
        self.experts = experts
        let (width, overflow) = experts.count.multipliedReportingOverflow(by: experts.width)
        // `validate` says what is wrong with it.
        dFF = overflow || shared < 0 || shared > 1 << 20 ? -1 : width &+ shared
    }
}
