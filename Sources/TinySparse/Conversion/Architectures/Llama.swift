import TinyFormats
import TinySupport

/// Llama and what has its shape: RMS norms, rotary positions, grouped heads, a gated MLP.
/// Source: Transformers, `modeling_llama.py`; llama.cpp, `LLM_ARCH_LLAMA`.
struct Llama: Architecture {
    let name = "llama"
    let prefixes = ["model.", ""]
    let tensorNames: [TensorRole: String] = [
        .tokenEmbedding: "embed_tokens",
        .attentionNorm: "input_layernorm",
        .query: "self_attn.q_proj", .key: "self_attn.k_proj", .value: "self_attn.v_proj",
        .attentionOutput: "self_attn.o_proj",
        .mlpNorm: "post_attention_layernorm",
        .up: "mlp.up_proj", .gate: "mlp.gate_proj", .down: "mlp.down_proj",
        .outputNorm: "norm",
    ]

    func config(_ fields: ConfigFields) throws -> ModelConfig {
        for key in ["attention_bias", "mlp_bias"] where fields.bool(key) == true {
            throw fields.unsupported(key, "biases of llama models are not supported")
        }
        let width = try fields.integer("hidden_size")
        let heads = try fields.integer("num_attention_heads")
        guard heads > 0 else { throw fields.unsupported("num_attention_heads", "is \(heads)") }
        let headDim = try fields.optionalInteger("head_dim") ?? width / heads
        let (positions, factors) = try fields.rope(headDim: headDim)
        return ModelConfig(
            architecture: name, name: try fields.modelName(),
            vocabularySize: try fields.integer("vocab_size"), dModel: width,
            nLayers: try fields.integer("num_hidden_layers"), nHeads: heads,
            nKVHeads: try fields.optionalInteger("num_key_value_heads") ?? heads,
            headDim: headDim, dFF: try fields.integer("intermediate_size"),
            contextLength: try fields.optionalInteger("max_position_embeddings") ?? 2048,
            normEpsilon: Float(try fields.optionalDouble("rms_norm_eps") ?? 1e-6),
            normKind: .rms, activation: try fields.activation("hidden_act", default: "silu"),
            gated: true, positions: positions, ropeFactors: factors,
            tiedHead: fields.bool("tie_word_embeddings") ?? false)
    }

    func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        let (width, heads, headDim) = try fields.heads()
        return ModelConfig(
            architecture: name, name: try fields.modelName(), vocabularySize: try fields.vocabularySize(),
            dModel: width, nLayers: try fields.integer("block_count"), nHeads: heads,
            nKVHeads: try fields.optionalInteger("attention.head_count_kv") ?? heads, headDim: headDim,
            dFF: try fields.integer("feed_forward_length"), contextLength: try fields.integer("context_length"),
            normEpsilon: Float(try fields.optionalDouble("attention.layer_norm_rms_epsilon") ?? 1e-5),
            normKind: .rms, activation: .silu, gated: true,
            // llama.cpp's converter interleaves the rotary pairs of this architecture.
            positions: try fields.rope(headDim: headDim, interleaved: true), ropeFactors: try fields.ropeFactors(),
            tiedHead: fields.isHeadTied)
    }
}
