// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Mistral: Llama with attention to the last tokens only, in some models. Its GGUF files are Llama's.
/// Source: Transformers, `modeling_mistral.py`.
enum Mistral: HuggingFaceArchitecture {
    static let name = "mistral"
    static let huggingFaceClass = "Mistral"

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name, ConfigFields.Decoder(kvHeads: 8, context: ("max_position_embeddings", 131_072)))
        config.windows = try fields.windows(
            layers: config.nLayers, standard: 4096, context: config.contextLength
        ) { _ in true }
        return config
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
