// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Granite 3, dense: Llama with four constant factors.
/// Source: Transformers, `modeling_granite.py`; llama.cpp, `LLM_ARCH_GRANITE`.
enum Granite: Architecture {
    static let name = "granite"
    static let huggingFaceClass = "Granite"

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig { try Llama.config(fields) }

    static func scales(_ fields: GGUFFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        func factor(_ key: String, _ standard: Double) throws(FormatError) -> Double {
            let value = try fields.optionalDouble(key) ?? 0
            return value == 0 ? standard : value
        }
        let root = Double(config.headDim).squareRoot()
        return FoldedScales(
            embedding: Float(try factor("embedding_scale", 1)), residual: Float(try factor("residual_scale", 1)),
            attention: Float(try factor("attention.scale", 1 / root) * root),
            logits: Float(1 / (try factor("logit_scale", 1))))
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { Llama.ggufTensors(config) }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(name)
        config.biases = try fields.biases()
        return config
    }

    static func scales(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        let logits = try fields.double("logits_scaling", default: 1)
        guard logits != 0 else { throw fields.unsupported("logits_scaling", "is 0") }
        return FoldedScales(
            embedding: Float(try fields.double("embedding_multiplier", default: 1)),
            residual: Float(try fields.double("residual_multiplier", default: 1)),
            attention: Float(
                try fields.double("attention_multiplier", default: 1) * Double(config.headDim).squareRoot()),
            logits: Float(1 / logits))
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
