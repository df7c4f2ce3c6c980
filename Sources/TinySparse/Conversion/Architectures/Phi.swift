// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Phi-1, 1.5 and 2: attention and an MLP without gate read one norm, and both are added; biases.
/// Source: Transformers, `modeling_phi.py`; llama.cpp, `LLM_ARCH_PHI2`.
enum Phi: Architecture {
    static let name = "phi"
    static let ggufNames = ["phi2"]
    static let huggingFaceClass = "Phi"
    static let hasPublishedCode = true

    private static let biases: Set<TensorRole> = [.query, .key, .value, .attentionOutput, .up, .down, .lmHead]

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        parallel(try fields.decoder(.layer, activation: .gelu, gated: false, isPartial: true, biases: biases))
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { TensorMap() }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = parallel(
            try fields.decoder(
                name,
                ConfigFields.Decoder(
                    normKind: .layer, epsilon: ("layer_norm_eps", 1e-5), activation: ("hidden_act", .gelu),
                    isGated: false,
                    rope: ConfigFields.Decoder.Rotation(share: ("partial_rotary_factor", 0.5)))))
        config.biases = biases
        if try fields.bool("qk_layernorm") { config.norms.formUnion([.queryNorm, .keyNorm]) }
        return config
    }

    private static func parallel(_ config: ModelConfig) -> ModelConfig {
        var config = config
        config.residual = .parallel
        config.norms.remove(.mlpNorm)
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        Llama.tensors.with([
            .attentionOutput: "model.layers.#.self_attn.dense",
            .queryNorm: "model.layers.#.self_attn.q_layernorm",
            .keyNorm: "model.layers.#.self_attn.k_layernorm",
            .up: "model.layers.#.mlp.fc1",
            .down: "model.layers.#.mlp.fc2",
            .outputNorm: "model.final_layernorm",
        ])
    }
}
