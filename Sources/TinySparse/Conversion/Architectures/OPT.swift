import TinyFormats
import TinySupport

/// OPT: layer norms, learned positions, biases, an MLP without gate.
/// Source: Transformers, `modeling_opt.py`. GGUF files of it come from relatives of llama.cpp (PowerInfer).
struct OPT: Architecture {
    let name = "opt"
    let prefixes = ["model.decoder.", "decoder."]
    let tensorNames: [TensorRole: String] = [
        .tokenEmbedding: "embed_tokens", .positions: "embed_positions",
        .attentionNorm: "self_attn_layer_norm",
        .query: "self_attn.q_proj", .key: "self_attn.k_proj", .value: "self_attn.v_proj",
        .attentionOutput: "self_attn.out_proj",
        .mlpNorm: "final_layer_norm",
        .up: "fc1", .down: "fc2",
        .outputNorm: "final_layer_norm",
    ]
    /// Rows of the table of positions that stand for none.
    private let positionOffset = 2
    private let biases: Set<TensorRole> = [.query, .key, .value, .attentionOutput, .up, .down]

    func config(_ fields: ConfigFields) throws -> ModelConfig {
        let width = try fields.integer("hidden_size")
        let heads = try fields.integer("num_attention_heads")
        guard heads > 0, width % heads == 0 else {
            throw fields.unsupported("num_attention_heads", "\(heads) do not divide \(width)")
        }
        guard fields.bool("do_layer_norm_before") ?? true else {
            throw fields.unsupported("do_layer_norm_before", "false is not supported")
        }
        guard try fields.optionalInteger("word_embed_proj_dim") ?? width == width else {
            throw fields.unsupported("word_embed_proj_dim", "embeddings narrower than the model are not supported")
        }
        guard fields.bool("_remove_final_layer_norm") != true else {
            throw fields.unsupported("_remove_final_layer_norm", "true is not supported")
        }
        guard fields.bool("layer_norm_elementwise_affine") != false else {
            throw fields.unsupported("layer_norm_elementwise_affine", "false is not supported")
        }
        return ModelConfig(
            architecture: name, name: try fields.modelName(),
            vocabularySize: try fields.integer("vocab_size"), dModel: width,
            nLayers: try fields.integer("num_hidden_layers"), nHeads: heads, nKVHeads: heads,
            headDim: width / heads, dFF: try fields.integer("ffn_dim"),
            contextLength: try fields.integer("max_position_embeddings"), normEpsilon: 1e-5,
            normKind: .layer, activation: try fields.activation("activation_function", default: "relu"),
            gated: false, positions: .learned(offset: positionOffset), ropeFactors: [],
            tiedHead: fields.bool("tie_word_embeddings") ?? true,
            biases: fields.bool("enable_bias") ?? true ? biases : [])
    }

    func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        let (width, heads, headDim) = try fields.heads()
        return ModelConfig(
            architecture: name, name: try fields.modelName(), vocabularySize: try fields.vocabularySize(),
            dModel: width, nLayers: try fields.integer("block_count"), nHeads: heads,
            nKVHeads: try fields.optionalInteger("attention.head_count_kv") ?? heads, headDim: headDim,
            dFF: try fields.integer("feed_forward_length"), contextLength: try fields.integer("context_length"),
            normEpsilon: Float(try fields.optionalDouble("attention.layer_norm_epsilon") ?? 1e-5),
            normKind: .layer, activation: .relu, gated: false, positions: .learned(offset: positionOffset),
            ropeFactors: try fields.ropeFactors(), tiedHead: fields.isHeadTied, biases: biases)
    }
}
