// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// OLMo 2: norms after attention and MLP instead of before, and of all queries and keys together.
/// Source: Transformers, `modeling_olmo2.py`; llama.cpp, `LLM_ARCH_OLMO2`.
enum OLMo2: Architecture {
    static let name = "olmo2"
    static let huggingFaceClass = "Olmo2"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        normed(try fields.decoder(activation: .silu))
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = normed(try fields.decoder(name))
        config.biases = try fields.biases("attention_bias", nil)
        return config
    }

    private static func normed(_ config: ModelConfig) -> ModelConfig {
        var config = config
        config.norms = [.queryNorm, .keyNorm, .attentionPostNorm, .mlpPostNorm, .outputNorm]
        config.normalizesAllHeads = true
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        Llama.tensors.with([
            .attentionPostNorm: "model.layers.#.post_attention_layernorm",
            .mlpPostNorm: "model.layers.#.post_feedforward_layernorm",
        ])
    }
}
