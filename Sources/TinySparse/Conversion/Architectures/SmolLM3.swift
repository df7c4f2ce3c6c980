// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// SmolLM 3: Llama without positions in some layers.
/// Source: Transformers, `modeling_smollm3.py`; llama.cpp, `LLM_ARCH_SMOLLM3`.
enum SmolLM3: Architecture {
    static let name = "smollm3"
    static let huggingFaceClass = "SmolLM3"

    /// Of every four layers, the last has no positions.
    private static let interval = 4

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            activation: .silu, biases: fields.biases([.query, .key, .value, .attentionOutput, .gate, .up, .down]))
        config.rotateLayers { ($0 + 1) % interval != 0 }
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { Llama.ggufTensors(config) }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                kvHeads: 4, context: ("max_position_embeddings", 32_768), isTied: true,
                rope: ConfigFields.Decoder.Rotation(base: 2_000_000)))
        config.biases = try fields.biases()
        let interval = try fields.integer("no_rope_layer_interval", default: interval)
        guard interval > 0 else { throw fields.unsupported("no_rope_layer_interval", "is \(interval)") }
        // Despite its name, the list has 1 for layers that have positions.
        let listed = try fields.integers("no_rope_layers", count: config.nLayers)
        config.rotateLayers { layer in
            if let listed { listed[layer] != 0 } else { (layer + 1) % interval != 0 }
        }
        config.windows = try Qwen2.windows(fields, config)
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
