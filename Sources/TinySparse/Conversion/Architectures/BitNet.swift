// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// BitNet b1.58: Llama with norms before the output and down projections, and the square of ReLU.
/// Source: Transformers, `modeling_bitnet.py`; microsoft/BitNet, `LLM_ARCH_BITNET_B158`.
enum BitNet: Architecture {
    static let name = "bitnet"
    static let ggufNames = ["bitnet-b1.58", "bitnet"]
    static let huggingFaceClass = "BitNet"
    static let hasPublishedCode = true

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        // llama.cpp computes SiLU for "bitnet", and bitnet.cpp the square of ReLU for "bitnet-b1.58".
        guard fields.architecture != "bitnet" || fields.entry("hidden_activation") != nil else {
            throw fields.unsupported(
                "hidden_activation",
                "the file does not say its activation function, and such models differ in it; add it (silu or relu2)")
        }
        return normed(try fields.decoder(activation: .relu2))
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = normed(
            try fields.decoder(
                name,
                ConfigFields.Decoder(
                    kvHeads: 5, epsilon: ("rms_norm_eps", 1e-5), activation: ("hidden_act", .relu2),
                    rope: ConfigFields.Decoder.Rotation(base: 500_000))))
        config.biases = try fields.biases("attention_bias", nil)
        return config
    }

    static func coding(_ fields: ConfigFields) throws(FormatError) -> WeightCoding { try fields.bitNetCoding() }

    private static func normed(_ config: ModelConfig) -> ModelConfig {
        var config = config
        config.norms.formUnion([.attentionSubNorm, .mlpSubNorm])
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        Llama.tensors.with([
            .attentionSubNorm: "model.layers.#.self_attn.attn_sub_norm",
            .mlpSubNorm: "model.layers.#.mlp.ffn_sub_norm",
        ])
    }
}
