// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Phi-3, 3.5 and Phi-4-mini: Llama with fused matrices, and longrope.
/// Source: Transformers, `modeling_phi3.py`; llama.cpp, `LLM_ARCH_PHI3`.
enum Phi3: Architecture {
    static let name = "phi3"
    static let huggingFaceClass = "Phi3"
    static let hasPublishedCode = true

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        // llama.cpp's converter writes the window, and llama.cpp attends to all tokens nevertheless; the model does not.
        var config = try fields.decoder(activation: .silu, isPartial: true)
        config.windows = try fields.windows(config) { _ in true }
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        TensorMap(slots: slots("blk.#.attn_qkv", "blk.#.ffn_up"), derived: GGUFFields.ropeFactorNames)
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                context: ("max_position_embeddings", 4096), epsilon: ("rms_norm_eps", 1e-5),
                rope: ConfigFields.Decoder.Rotation(share: ("partial_rotary_factor", 1))))
        config.windows = try fields.windows(
            layers: config.nLayers, standard: nil, context: config.contextLength
        ) { _ in true }
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        Llama.tensors.with(slots("model.layers.#.self_attn.qkv_proj", "model.layers.#.mlp.gate_up_proj"))
    }

    private static func slots(_ attention: String, _ mlp: String) -> [TensorRole: TensorMap.Slot] {
        let queryKeyValue = TensorMap.Slot(attention, fused: .queryKeyValue)
        let gateUp = TensorMap.Slot(mlp, fused: .stacked([.gate, .up]))
        return [.query: queryKeyValue, .key: queryKeyValue, .value: queryKeyValue, .gate: gateUp, .up: gateUp]
    }
}
