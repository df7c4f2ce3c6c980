// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// SparseLM: Llama whose gate's activation is ReLU, whatever `hidden_act` says, or whose MLP has no gate.
/// Source: SakanaAI/sparser-faster-llms, `sparse_models.py`.
enum SparseLlama: HuggingFaceArchitecture {
    static let name = "llama_sparse_relu"
    static let huggingFaceClass = "SparseLlama"
    static let hasPublishedCode = true

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        try sparse(Llama.config(fields), fields)
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap {
        Llama.tensors.with([.down: TensorMap.Slot("model.layers.#.mlp.down_proj", orientation: .byShape)])
    }

    /// What the sparse MLP changes.
    static func sparse(_ dense: ModelConfig, _ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = dense
        config.activation = .relu
        config.gated = try fields.bool("sparsity_gated_mlp", default: true)
        if let width = try fields.optionalInteger("sparsity_new_intermediate_size") { config.dFF = width }
        if !config.gated { config.biases.remove(.gate) }
        // Such a model's `down` may lie transposed in its file, which its shape shows unless it is square.
        let isHybrid = try fields.bool("sparsity_use_hybrid_kernel")
        if isHybrid, config.gated, config.dFF == config.dModel {
            throw fields.unsupported(
                "sparsity_use_hybrid_kernel", "it is not known whether a square down projection is transposed")
        }
        return config
    }
}

/// The same on the basis of Qwen 2.
enum SparseQwen2: HuggingFaceArchitecture {
    static let name = "qwen2_sparse_relu"
    static let huggingFaceClass = "SparseQwen2"
    static let hasPublishedCode = true

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var config = try Qwen2.config(fields)
        if try fields.bool("mlp_bias") { config.biases.formUnion([.gate, .up, .down]) }
        return try SparseLlama.sparse(config, fields)
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { SparseLlama.huggingFaceTensors(config) }
}
