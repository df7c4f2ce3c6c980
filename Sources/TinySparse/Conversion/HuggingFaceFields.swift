import TinyFormats
import TinyPlatform
import TinySupport

extension ModelConfig {
    /// Reads the configuration out of the `config.json` of a Hugging Face model.
    /// - Throws: `FormatError` naming the field.
    package init(huggingFace path: String) throws {
        let fields = ConfigFields(path: path, json: try JSON.read(path: path, limit: 1 << 20))
        let architecture = try findArchitecture(named: fields.string("model_type"), path: path, item: "model_type")
        self = try architecture.config(fields)
        try validate(path: path)
    }
}

/// What the config.json of most architectures has.
extension ConfigFields {
    /// The last part of `_name_or_path`, which may be a path on the machine that
    /// made the model, or else the architecture.
    func modelName() throws -> String {
        let path = try optionalString("_name_or_path") ?? ""
        return try path.split(separator: "/").last.map(String.init) ?? string("model_type")
    }

    func activation(_ key: String, default standard: String) throws -> ModelConfig.Activation {
        let name = try optionalString(key) ?? standard
        switch name {
        case "silu", "swish": return .silu
        case "relu": return .relu
        case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": return .gelu
        default:
            throw unsupported(
                key, "\"\(printable(name))\" is not supported; silu, relu and gelu_new are")
        }
    }

    /// Rotary positions: `rope_theta` and `rope_scaling` of older files,
    /// `rope_parameters` of newer ones.
    func rope(headDim: Int) throws -> (ModelConfig.Positions, factors: [Float]) {
        let parameters = try object("rope_parameters") ?? object("rope_scaling")
        let base =
            try object("rope_parameters")?.optionalDouble("rope_theta")
            ?? optionalDouble("rope_theta") ?? 10_000
        if let part = try optionalDouble("partial_rotary_factor"), part != 1 {
            throw unsupported("partial_rotary_factor", "only 1 is supported")
        }
        func positions(_ scaling: Double) -> ModelConfig.Positions {
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
            return (positions(1), try parameters.llama3Factors(base: base, headDim: headDim))
        default:
            throw unsupported(
                "rope_scaling",
                "\"\(printable(kind))\" is not supported; default, linear and llama3 are")
        }
    }

    /// What Llama 3.1 and later divide the rotary frequencies by: nothing for
    /// short waves, `factor` for long ones, and a blend between.
    /// Source: Transformers, `_compute_llama3_parameters`.
    private func llama3Factors(base: Double, headDim: Int) throws -> [Float] {
        let factor = try double("factor")
        let low = try double("low_freq_factor")
        let high = try double("high_freq_factor")
        let context = try double("original_max_position_embeddings")
        guard (2...1024).contains(headDim), low > 0, high > low, factor >= 1 else {
            throw unsupported("rope_scaling", "its factors are invalid")
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
