// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// ProSparse and ReluLLaMA: Llama 2 with a threshold in its ReLU.
/// Source: SparseLLM/prosparse-llama-2-7b, `modeling_sparsellama.py`.
enum ProSparse: HuggingFaceArchitecture {
    static let name = "sparsellama"
    static let huggingFaceClass = "SparseLlama"
    static let hasPublishedCode = true

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(name)
        config.activationThreshold = try fields.activationThreshold(config)
        config.biases = try fields.biases()
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}

extension ConfigFields {
    /// What `fatrelu` compares with.
    func activationThreshold(_ config: ModelConfig) throws(FormatError) -> Float {
        guard config.activation == .fatrelu else { return 0 }
        return Float(try double("hidden_act_param"))
    }
}
