// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Qwen 3, dense: Llama with norms of each head's query and key.
/// Source: Transformers, `modeling_qwen3.py`; llama.cpp, `LLM_ARCH_QWEN3`.
enum Qwen3: Architecture {
    static let name = "qwen3"
    static let huggingFaceClass = "Qwen3"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            activation: .silu, biases: fields.biases([.query, .key, .value, .attentionOutput]))
        config.norms.formUnion([.queryNorm, .keyNorm])
        return config
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name, ConfigFields.Decoder(headDim: 128, kvHeads: 32, context: ("max_position_embeddings", 32_768)))
        config.biases = try fields.biases("attention_bias", nil)
        config.norms.formUnion([.queryNorm, .keyNorm])
        config.windows = try Qwen2.windows(fields, config)
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
