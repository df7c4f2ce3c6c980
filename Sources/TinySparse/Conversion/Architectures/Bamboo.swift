// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Bamboo: Mistral with ReLU on both gate and up.
/// Source: PowerInfer/Bamboo-base-v0.1, `modeling_bamboo.py`.
enum Bamboo: HuggingFaceArchitecture {
    static let name = "bamboo"
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

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
