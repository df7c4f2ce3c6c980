// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Qwen 2 and 2.5: Llama with biases of queries, keys and values.
/// Source: Transformers, `modeling_qwen2.py`; llama.cpp, `LLM_ARCH_QWEN2`.
enum Qwen2: Architecture {
    static let name = "qwen2"
    static let huggingFaceClass = "Qwen2"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        try fields.decoder(activation: .silu, biases: fields.biases([.query, .key, .value, .attentionOutput]))
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(name, ConfigFields.Decoder(context: ("max_position_embeddings", 32_768)))
        config.biases = [.query, .key, .value]
        config.windows = try windows(fields, config)
        return config
    }

    /// The upper layers see the last tokens only, where `use_sliding_window` says so.
    static func windows(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> [Int] {
        let isOn = try fields.bool("use_sliding_window")
        let first = try fields.integer("max_window_layers", default: 28)
        let windows = try fields.windows(
            layers: config.nLayers, standard: 4096, context: config.contextLength
        ) { $0 >= first }
        return isOn ? windows : []
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
