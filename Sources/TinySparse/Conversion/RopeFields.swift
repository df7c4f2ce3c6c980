// SPDX-License-Identifier: Apache-2.0

// Rotary positions, as GGUF files and Hugging Face models describe them.

import Quant
import TinyFormats
import TinyPlatform
import TinySupport

extension GGUFFields {
    /// The tensor that divides the rotary frequencies.
    static let ropeFactorsName = "rope_freqs.weight"

    /// Base and linear scaling; all dimensions of a head have to be rotated.
    ///
    /// As in llama.cpp, scaling is linear unless the file says otherwise, and a factor of 0 is none.
    /// - Throws: `FormatError` naming the key.
    func rope(headDim: Int) throws(FormatError) -> ModelConfig.Positions {
        let kind = try optionalString("rope.scaling.type") ?? "linear"
        guard kind == "none" || kind == "linear" else {
            throw unsupported(
                "rope.scaling.type", "rope scaling \"\(printable(kind))\" is not supported; none and linear are")
        }
        var scaling = try optionalDouble("rope.scaling.factor")
        if scaling == nil { scaling = try optionalDouble("rope.scale_linear") }
        if kind == "none" || scaling == 0 { scaling = 1 }
        let dims = try optionalInteger("rope.dimension_count") ?? headDim
        guard dims == headDim else {
            throw unsupported(
                "rope.dimension_count", "\(dims) of the \(headDim) dimensions of a head are rotated; all have to be")
        }
        return .rope(base: try optionalDouble("rope.freq_base") ?? 10_000, scaling: scaling ?? 1, dims: dims)
    }

    /// What the rotary frequencies are divided by, `[headDim / 2]`; empty if the file does not say.
    func ropeFactors() throws(FormatError) -> [Float] {
        guard let (file, factors) = parts.tensor(Self.ropeFactorsName) else { return [] }
        guard factors.format == .f32, factors.dimensions.count == 1, factors.dimensions[0] <= 1 << 10 else {
            throw FormatError(
                .unsupported, path: file.path, item: Self.ropeFactorsName, "is not a short list of floats")
        }
        let bytes = file.bytes(of: factors)
        return (0..<factors.dimensions[0]).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
}

extension ConfigFields {
    /// Rotary positions: `rope_theta` and `rope_scaling` of older files, `rope_parameters` of newer ones. Where a file has
    /// both, they have to say the same.
    /// - Returns: also what the frequencies are divided by, `[headDim / 2]` or empty.
    func rope(headDim: Int) throws(FormatError) -> (ModelConfig.Positions, factors: [Float]) {
        var found: (ModelConfig.Positions, [Float])?
        for key in ["rope_parameters", "rope_scaling"] {
            guard let fields = try object(key), fields.json.object?.isEmpty == false else { continue }
            let rope = try rope(fields, headDim: headDim)
            guard found == nil || found! == rope else {
                throw unsupported(key, "says something else than rope_parameters; remove the one that is wrong")
            }
            found = rope
        }
        if let found { return found }
        return try rope(self, headDim: headDim)
    }

    /// What one object says.
    private func rope(_ fields: ConfigFields, headDim: Int) throws(FormatError) -> (ModelConfig.Positions, [Float]) {
        for fields in [self, fields] {
            let share = try fields.optionalDouble("partial_rotary_factor") ?? 1
            guard share == 1 else { throw fields.unsupported("partial_rotary_factor", "only 1 is supported") }
        }
        for (key, value) in fields.prefix.isEmpty ? [] : fields.json.object ?? [] where value.object != nil {
            throw fields.unsupported(key, "positions that differ between layers are not supported")
        }
        let theta = try (fields.json["rope_theta"] == nil ? self : fields).double("rope_theta", default: 10_000)
        func positions(_ scaling: Double) -> ModelConfig.Positions {
            .rope(base: theta, scaling: scaling, dims: headDim)
        }
        var kind = try fields.optionalString("rope_type")
        if kind == nil { kind = try fields.optionalString("type") }
        switch kind ?? "default" {
        case "default": return (positions(1), [])
        case "linear": return (positions(try fields.double("factor")), [])
        case "llama3": return (positions(1), try llama3Factors(fields, base: theta, headDim: headDim))
        case let kind:
            throw fields.unsupported(
                "rope_type", "\"\(printable(kind))\" is not supported; default, linear and llama3 are")
        }
    }

    /// What Llama 3.1 and later divide the rotary frequencies by: 1 for short waves, `factor` for long ones, and a blend
    /// between.
    /// Source: Transformers, `_compute_llama3_parameters` and `standardize_rope_params`.
    private func llama3Factors(
        _ fields: ConfigFields, base: Double, headDim: Int
    ) throws(FormatError) -> [Float] {
        let factor = try fields.double("factor")
        let low = try fields.double("low_freq_factor")
        let high = try fields.double("high_freq_factor")
        let key = "original_max_position_embeddings"
        let holder = json[key] == nil ? fields : self
        let context =
            holder.json[key] == nil
            ? Double(try integer("max_position_embeddings", default: 2048)) : try holder.double(key)
        guard (2...1024).contains(headDim), low > 0, high > low, factor >= 1 else {
            throw fields.unsupported("factor", "the factors are invalid")
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
