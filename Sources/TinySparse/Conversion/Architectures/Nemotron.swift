// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Nemotron and Minitron: layer norms stored minus one, a part of each head rotated, an MLP without gate whose activation
/// is the square of ReLU.
/// Source: Transformers, `modeling_nemotron.py`; llama.cpp, `LLM_ARCH_NEMOTRON`.
enum Nemotron: Architecture {
    static let name = "nemotron"
    static let huggingFaceClass = "Nemotron"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        try fields.decoder(
            .layer, activation: .relu2, gated: false, isPartial: true,
            biases: fields.biases([.query, .key, .value, .attentionOutput, .up, .down]))
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                context: ("max_position_embeddings", 4096), normKind: .layer, epsilon: ("norm_eps", 1e-5),
                activation: ("hidden_act", .relu2), isGated: false,
                rope: ConfigFields.Decoder.Rotation(share: ("partial_rotary_factor", 0.5))))
        config.biases = try fields.biases(gated: false)
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        TensorMap(
            prefixes: Llama.tensors.prefixes, slots: Llama.tensors.slots, normAddend: 1,
            derived: Llama.tensors.derived)
    }
}
