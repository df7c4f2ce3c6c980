// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// MiniCPM and MiniCPM-S: Llama with constant factors; the second has a threshold in its ReLU.
/// Source: openbmb/MiniCPM-S-1B-sft, `modeling_minicpm.py`; llama.cpp, `LLM_ARCH_MINICPM`.
enum MiniCPM: Architecture {
    static let name = "minicpm"
    static let huggingFaceClass = "MiniCPM"
    static let hasPublishedCode = true

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig { try Llama.config(fields) }

    static func scales(_ fields: GGUFFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        FoldedScales(
            embedding: Float(try fields.optionalDouble("embedding_scale") ?? 12),
            residual: Float(
                try fields.optionalDouble("residual_scale") ?? 1.4 / Double(config.nLayers).squareRoot()),
            logits: Float(1 / (try fields.optionalDouble("logit_scale") ?? Double(config.dModel) / 256)))
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { Llama.ggufTensors(config) }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(name, ConfigFields.Decoder(isTied: true))
        config.activationThreshold = try fields.activationThreshold(config)
        config.biases = try fields.biases("attention_bias", nil)
        return config
    }

    static func scales(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        let base = try fields.double("dim_model_base", default: 1)
        return FoldedScales(
            embedding: Float(try fields.double("scale_emb", default: 1)),
            residual: Float(try fields.double("scale_depth", default: 1) / Double(config.nLayers).squareRoot()),
            logits: Float(base / Double(config.dModel)))
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
