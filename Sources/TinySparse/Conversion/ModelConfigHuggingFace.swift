import TinyFormats
import TinyPlatform
import TinySupport

extension ModelConfig {
    /// Reads the configuration out of the `config.json` of a Hugging Face model.
    /// - Throws: `FormatError` naming the field.
    package init(huggingFace path: String) throws {
        let fields = ConfigFields(path: path, json: try JSON.read(path: path, limit: 1 << 20))
        let type = try fields.string("model_type")
        switch type {
        case "llama": self = try Self.llama(fields)
        case "opt": self = try Self.opt(fields)
        default:
            throw Self.unsupportedArchitecture(type, path: path, item: "model_type")
        }
        try validate(path: path)
    }

    private static func llama(_ fields: ConfigFields) throws -> ModelConfig {
        for key in ["attention_bias", "mlp_bias"] where fields.bool(key) == true {
            throw fields.unsupported(key, "biases of llama models are not supported")
        }
        let width = try fields.integer("hidden_size")
        let heads = try fields.integer("num_attention_heads")
        guard heads > 0 else { throw fields.unsupported("num_attention_heads", "is \(heads)") }
        let headDim = try fields.optionalInteger("head_dim") ?? width / heads
        let (positions, factors) = try rope(fields, headDim: headDim)
        return ModelConfig(
            architecture: "llama", name: try modelName(fields),
            vocabularySize: try fields.integer("vocab_size"), dModel: width,
            nLayers: try fields.integer("num_hidden_layers"), nHeads: heads,
            nKVHeads: try fields.optionalInteger("num_key_value_heads") ?? heads,
            headDim: headDim, dFF: try fields.integer("intermediate_size"),
            contextLength: try fields.optionalInteger("max_position_embeddings") ?? 2048,
            normEpsilon: Float(try fields.optionalDouble("rms_norm_eps") ?? 1e-6),
            normKind: .rms, activation: try activation(fields, "hidden_act", default: "silu"),
            gated: true, positions: positions, ropeFactors: factors,
            tiedHead: fields.bool("tie_word_embeddings") ?? false, hasBiases: false)
    }

    private static func opt(_ fields: ConfigFields) throws -> ModelConfig {
        let width = try fields.integer("hidden_size")
        let heads = try fields.integer("num_attention_heads")
        guard heads > 0, width % heads == 0 else {
            throw fields.unsupported("num_attention_heads", "\(heads) do not divide \(width)")
        }
        guard fields.bool("do_layer_norm_before") ?? true else {
            throw fields.unsupported("do_layer_norm_before", "false is not supported")
        }
        guard try fields.optionalInteger("word_embed_proj_dim") ?? width == width else {
            throw fields.unsupported(
                "word_embed_proj_dim", "embeddings narrower than the model are not supported")
        }
        guard fields.bool("_remove_final_layer_norm") != true else {
            throw fields.unsupported("_remove_final_layer_norm", "true is not supported")
        }
        guard fields.bool("layer_norm_elementwise_affine") != false else {
            throw fields.unsupported("layer_norm_elementwise_affine", "false is not supported")
        }
        return ModelConfig(
            architecture: "opt", name: try modelName(fields),
            vocabularySize: try fields.integer("vocab_size"), dModel: width,
            nLayers: try fields.integer("num_hidden_layers"), nHeads: heads, nKVHeads: heads,
            headDim: width / heads, dFF: try fields.integer("ffn_dim"),
            contextLength: try fields.integer("max_position_embeddings"), normEpsilon: 1e-5,
            normKind: .layer,
            activation: try activation(fields, "activation_function", default: "relu"),
            gated: false, positions: .learned(offset: 2), ropeFactors: [],
            tiedHead: fields.bool("tie_word_embeddings") ?? true,
            hasBiases: fields.bool("enable_bias") ?? true)
    }

    /// The last part of `_name_or_path`, which may be a path on the machine that
    /// made the model, or else the architecture.
    private static func modelName(_ fields: ConfigFields) throws -> String {
        let path = try fields.optionalString("_name_or_path") ?? ""
        return try path.split(separator: "/").last.map(String.init) ?? fields.string("model_type")
    }

    private static func activation(
        _ fields: ConfigFields, _ key: String, default standard: String
    ) throws -> Activation {
        let name = try fields.optionalString(key) ?? standard
        switch name {
        case "silu", "swish": return .silu
        case "relu": return .relu
        case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": return .gelu
        default:
            throw fields.unsupported(
                key, "\"\(printable(name))\" is not supported; silu, relu and gelu_new are")
        }
    }

    /// Rotary positions: `rope_theta` and `rope_scaling` of older files,
    /// `rope_parameters` of newer ones.
    private static func rope(
        _ fields: ConfigFields, headDim: Int
    ) throws -> (Positions, factors: [Float]) {
        let parameters = try fields.object("rope_parameters") ?? fields.object("rope_scaling")
        let base =
            try fields.object("rope_parameters")?.optionalDouble("rope_theta")
            ?? fields.optionalDouble("rope_theta") ?? 10_000
        if let part = try fields.optionalDouble("partial_rotary_factor"), part != 1 {
            throw fields.unsupported("partial_rotary_factor", "only 1 is supported")
        }
        func positions(_ scaling: Double) -> Positions {
            .rope(base: base, scaling: scaling, dims: headDim, interleaved: false)
        }
        guard let parameters else { return (positions(1), []) }
        let kind =
            try parameters.optionalString("rope_type") ?? parameters.optionalString("type")
            ?? "default"
        switch kind {
        case "default": return (positions(1), [])
        case "linear": return (positions(try parameters.double("factor")), [])
        case "llama3":
            return (positions(1), try llama3Factors(parameters, base: base, headDim: headDim))
        default:
            throw fields.unsupported(
                "rope_scaling",
                "\"\(printable(kind))\" is not supported; default, linear and llama3 are")
        }
    }

    /// What Llama 3.1 and later divide the rotary frequencies by: nothing for
    /// short waves, `factor` for long ones, and a blend between.
    /// Source: Transformers, `_compute_llama3_parameters`.
    private static func llama3Factors(
        _ fields: ConfigFields, base: Double, headDim: Int
    ) throws -> [Float] {
        let factor = try fields.double("factor")
        let low = try fields.double("low_freq_factor")
        let high = try fields.double("high_freq_factor")
        let context = try fields.double("original_max_position_embeddings")
        guard (2...1024).contains(headDim), low > 0, high > low, factor >= 1 else {
            throw fields.unsupported("rope_scaling", "its factors make no sense")
        }
        return (0..<(headDim / 2)).map { pair in
            let wave = 2 * Double.pi * pow(base, 2 * Double(pair) / Double(headDim))
            if wave < context / high { return 1 }
            if wave > context / low { return Float(factor) }
            let blend = (context / wave - low) / (high - low)
            return Float(1 / ((1 - blend) / factor + blend))
        }
    }
}
