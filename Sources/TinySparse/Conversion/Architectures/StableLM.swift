// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// StableLM 2: Llama with layer norms and a part of each head rotated; in some models attention and MLP read one norm.
/// Source: Transformers, `modeling_stablelm.py`; llama.cpp, `LLM_ARCH_STABLELM`.
enum StableLM: Architecture {
    static let name = "stablelm"
    static let huggingFaceClass = "StableLm"
    static let hasPublishedCode = true

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            .layer, activation: .silu, isPartial: true, biases: fields.biases([.query, .key, .value]))
        _ = try fields.bool("use_parallel_residual", default: true)
        // As in llama.cpp, the norms that are there decide.
        if !fields.hasLayerTensor(.mlpNorm) { becomeParallel(&config) }
        return config
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(
            name,
            ConfigFields.Decoder(
                context: ("max_position_embeddings", 4096), normKind: .layer, epsilon: ("layer_norm_eps", 1e-5),
                rope: ConfigFields.Decoder.Rotation(share: ("partial_rotary_factor", 0.25))))
        if try fields.bool("use_qkv_bias") { config.biases = [.query, .key, .value] }
        if try fields.bool("use_parallel_residual") { becomeParallel(&config) }
        guard try !fields.bool("qk_layernorm") else {
            throw fields.unsupported(
                "qk_layernorm", "norms of queries and keys that differ between heads are not supported")
        }
        return config
    }

    private static func becomeParallel(_ config: inout ModelConfig) {
        config.residual = .parallel
        config.norms.remove(.mlpNorm)
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Llama.tensors }
}
