// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Bamboo: Mistral with ReLU on both gate and up. Its GGUF files are PowerInfer's.
/// Source: PowerInfer/Bamboo-base-v0.1, `modeling_bamboo.py`.
enum Bamboo: Architecture {
    static let name = "bamboo"
    static let ggufNames: [String] = []
    static let huggingFaceClass = "Bamboo"
    static let hasPublishedCode = true

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try Mistral.config(fields)
        config.architecture = name
        guard config.activation == .relu else {
            throw fields.unsupported("hidden_act", "only relu is known of such models")
        }
        config.activatesUp = true
        return config
    }

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try Llama.config(fields)
        (config.activation, config.activatesUp) = (.relu, true)
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap { Llama.ggufTensors(config) }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
