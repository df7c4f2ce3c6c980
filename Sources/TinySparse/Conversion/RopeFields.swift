// SPDX-License-Identifier: Apache-2.0

// Rotary positions, as GGUF files and Hugging Face models describe them.

import Quant
import TinyFormats
import TinyPlatform
import TinySupport

extension GGUFFields {
    /// The tensors that divide the rotary frequencies.
    static let ropeFactorsName = "rope_freqs.weight"
    static let ropeFactorNames = [ropeFactorsName, "rope_factors_short.weight", "rope_factors_long.weight"]

    /// Rotary positions. As in llama.cpp, scaling is linear unless the file says otherwise, and a factor of 0 is none.
    /// - Parameter isPartial: whether only some of the dimensions of a head may be rotated.
    /// - Throws: `FormatError` naming the key.
    func rotation(headDim: Int, isPartial: Bool) throws(FormatError) -> RotaryEmbedding {
        let dims = try optionalInteger("rope.dimension_count") ?? headDim
        guard dims == headDim || isPartial else {
            throw unsupported(
                "rope.dimension_count", "\(dims) of the \(headDim) dimensions of a head are rotated; all have to be")
        }
        var rope = RotaryEmbedding(base: try optionalDouble("rope.freq_base") ?? 10_000, dims: dims)
        var factor = try optionalDouble("rope.scaling.factor")
        if factor == nil { factor = try optionalDouble("rope.scale_linear") }
        let kind = try optionalString("rope.scaling.type") ?? "linear"
        switch kind {
        case "none": break
        case "linear": if let factor, factor != 0 { rope.scaling = factor }
        case "yarn":
            let yarn = Yarn(
                factor: factor ?? 1, original: Double(try originalContext()),
                fast: try optionalDouble("rope.scaling.yarn_beta_fast") ?? 32,
                slow: try optionalDouble("rope.scaling.yarn_beta_slow") ?? 1)
            guard let factors = yarn.factors(base: rope.base, dims: dims) else {
                throw unsupported("rope.scaling.factor", "the numbers of yarn scaling are invalid")
            }
            rope.factors = factors
            rope.magnitude = yarn.magnitude
        case "longrope":
            guard hasTensor(Self.ropeFactorNames[1]) else {
                throw unsupported("rope.scaling.type", "longrope without its factors, rope_factors_short.weight")
            }
        default:
            throw unsupported(
                "rope.scaling.type",
                "rope scaling \"\(printable(kind))\" is not supported; none, linear, yarn and longrope are")
        }
        if hasTensor(Self.ropeFactorNames[1]) {
            rope.factors = try factors(Self.ropeFactorNames[1])
            rope.longFactors = try factors(Self.ropeFactorNames[2])
            rope.originalContext = try originalContext()
            rope.magnitude = try optionalDouble("rope.scaling.attn_factor") ?? 1
        } else if hasTensor(Self.ropeFactorsName) {
            rope.factors = try factors(Self.ropeFactorsName)
        }
        return rope
    }

    private func originalContext() throws(FormatError) -> Int {
        let original = try optionalInteger("rope.scaling.original_context_length")
        return try original == nil ? integer("context_length") : original!
    }

    private func hasTensor(_ name: String) -> Bool { parts.tensor(name) != nil }

    /// What the rotary frequencies are divided by, one for each pair.
    private func factors(_ name: String) throws(FormatError) -> [Float] {
        guard let (file, factors) = parts.tensor(name) else { throw gguf.missing(name) }
        guard factors.format == .f32, factors.dimensions.count == 1, factors.dimensions[0] <= 1 << 10 else {
            throw FormatError(.unsupported, path: file.path, item: name, "is not a short list of floats")
        }
        let bytes = file.bytes(of: factors)
        return (0..<factors.dimensions[0]).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
}

/// Rotary frequencies for texts longer than a model was trained with: those of short waves stay, those of long ones are
/// divided, and between them the two are blended (Peng et al., YaRN, 2023).
struct Yarn {
    let factor: Double
    /// The length of texts the model was trained with.
    let original: Double
    /// Turns within that length above which a frequency stays, and below which it is divided.
    let fast, slow: Double
    var isRounded = true

    /// What cosines and sines are multiplied by.
    var magnitude: Double { factor > 1 ? 0.1 * log(factor) + 1 : 1 }

    /// What the frequencies are divided by, one for each pair; nil for numbers that make no sense.
    func factors(base: Double, dims: Int) -> [Float]? {
        guard factor >= 1e-3, factor <= 1e6, original >= 1, fast > slow, slow > 0, base > 1, 2...1024 ~= dims else {
            return nil
        }
        func pair(turns: Double) -> Double { Double(dims) * log(original / (turns * 2 * .pi)) / (2 * log(base)) }
        var (low, high) = (pair(turns: fast), pair(turns: slow))
        if isRounded { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        (low, high) = (max(low, 0), min(high, Double(dims - 1)))
        if low == high { high += 0.001 }
        return (0..<dims / 2).map { i in
            let ramp = min(max((Double(i) - low) / (high - low), 0), 1)
            return Float(1 / (ramp / factor + 1 - ramp))
        }
    }
}

extension ConfigFields {
    /// Rotary positions: `rope_theta` and `rope_scaling` of older files, `rope_parameters` of newer ones. Where a file has
    /// both, they have to say the same.
    func rotation(headDim: Int, _ standard: Decoder.Rotation) throws(FormatError) -> RotaryEmbedding {
        var found: RotaryEmbedding?
        for key in ["rope_parameters", "rope_scaling"] {
            guard let fields = try object(key), fields.json.object?.isEmpty == false else { continue }
            for (name, value) in fields.json.object ?? [] where value.object != nil {
                throw fields.unsupported(name, "positions that differ between layers are not supported")
            }
            let rope = try rotation(fields, headDim: headDim, standard)
            guard found == nil || found! == rope else {
                throw unsupported(key, "says something else than rope_parameters; remove the one that is wrong")
            }
            found = rope
        }
        if let found { return found }
        return try rotation(self, headDim: headDim, standard)
    }

    /// What one object says.
    func rotation(
        _ fields: ConfigFields, headDim: Int, _ standard: Decoder.Rotation
    ) throws(FormatError) -> RotaryEmbedding {
        let share = try rotatedShare(fields, standard)
        let theta = try (fields.json["rope_theta"] == nil ? self : fields).double("rope_theta", default: standard.base)
        var rope = RotaryEmbedding(base: theta, dims: Int(Double(headDim) * share))
        var kind = try fields.optionalString("rope_type")
        if kind == nil { kind = try fields.optionalString("type") }
        switch kind ?? "default" {
        case "default": break
        // Stretches positions only beyond the context the model was trained with, which is the context it has here.
        case "dynamic": break
        case "linear": rope.scaling = try fields.double("factor")
        case "llama3": rope.factors = try llama3Factors(fields, rope)
        case "yarn": try stretch(&rope, byYarn: fields)
        case "longrope", "su": try stretch(&rope, byLongRope: fields)
        case let kind:
            throw fields.unsupported(
                "rope_type",
                "\"\(printable(kind))\" is not supported; default, linear, dynamic, llama3, yarn and longrope are")
        }
        return rope
    }

    /// The share of a head's dimensions that is rotated.
    private func rotatedShare(_ fields: ConfigFields, _ standard: Decoder.Rotation) throws(FormatError) -> Double {
        guard let (key, share) = standard.share else {
            for fields in [self, fields] {
                let share = try fields.optionalDouble("partial_rotary_factor") ?? 1
                guard share == 1 else { throw fields.unsupported("partial_rotary_factor", "only 1 is supported") }
            }
            return 1
        }
        var found = try fields.optionalDouble("partial_rotary_factor")
        if found == nil { found = try optionalDouble(key) }
        let result = found ?? share
        guard result > 0, result <= 1 else { throw unsupported(key, "\(result) is not in 0...1") }
        return result
    }

    /// The length of texts a model was trained with first.
    private func originalContext(_ fields: ConfigFields) throws(FormatError) -> Double {
        let key = "original_max_position_embeddings"
        let holder = json[key] == nil ? fields : self
        return holder.json[key] == nil
            ? Double(try integer("max_position_embeddings", default: 2048)) : try holder.double(key)
    }

    /// How much longer texts may be than those a model was trained with first.
    private func stretching(_ fields: ConfigFields, _ original: Double) throws(FormatError) -> Double {
        let context = try integer("max_position_embeddings", default: 2048)
        return try fields.optionalDouble("factor") ?? Double(context) / original
    }

    /// Source: Transformers, `_compute_yarn_parameters`.
    private func stretch(_ rope: inout RotaryEmbedding, byYarn fields: ConfigFields) throws(FormatError) {
        let original = try originalContext(fields)
        func positive(_ key: String) throws(FormatError) -> Double? {
            let value = try fields.optionalDouble(key)
            return value == 0 ? nil : value
        }
        let factor = try stretching(fields, original)
        let yarn = Yarn(
            factor: factor, original: original, fast: try positive("beta_fast") ?? 32,
            slow: try positive("beta_slow") ?? 1, isRounded: try fields.bool("truncate", default: true))
        guard let factors = yarn.factors(base: rope.base, dims: rope.dims) else {
            throw fields.unsupported("factor", "the numbers of yarn scaling are invalid")
        }
        rope.factors = factors
        func magnitude(_ scale: Double) -> Double { factor > 1 ? 0.1 * scale * log(factor) + 1 : 1 }
        if let said = try fields.optionalDouble("attention_factor") {
            rope.magnitude = said
        } else if let scale = try positive("mscale"), let allScale = try positive("mscale_all_dim") {
            rope.magnitude = magnitude(scale) / magnitude(allScale)
        } else {
            rope.magnitude = yarn.magnitude
        }
    }

    /// Source: Transformers, `_compute_longrope_parameters`.
    private func stretch(_ rope: inout RotaryEmbedding, byLongRope fields: ConfigFields) throws(FormatError) {
        func factors(_ key: String) throws(FormatError) -> [Float] {
            guard let list = fields.value(key)?.array else { throw fields.malformed(key, "a list of numbers") }
            let factors = list.map { Float($0.double ?? .nan) }
            guard factors.count == rope.dims / 2, factors.allSatisfy({ $0.isFinite }) else {
                throw fields.malformed(key, "a list of \(rope.dims / 2) numbers")
            }
            return factors
        }
        for key in ["short_mscale", "long_mscale"] where fields.value(key) != nil {
            throw fields.unsupported(key, "is not supported")
        }
        let original = try originalContext(fields)
        guard original >= 2, original <= 16_777_216 else {
            throw unsupported("original_max_position_embeddings", "\(original) is not in 2...16777216")
        }
        rope.factors = try factors("short_factor")
        rope.longFactors = try factors("long_factor")
        rope.originalContext = Int(original)
        let factor = try stretching(fields, original)
        let magnitude = factor > 1 ? (1 + log(factor) / log(original)).squareRoot() : 1
        rope.magnitude = try fields.optionalDouble("attention_factor") ?? magnitude
    }

    /// What Llama 3.1 and later divide the rotary frequencies by: 1 for short waves, `factor` for long ones, and a blend
    /// between.
    /// Source: Transformers, `_compute_llama3_parameters` and `standardize_rope_params`.
    private func llama3Factors(_ fields: ConfigFields, _ rope: RotaryEmbedding) throws(FormatError) -> [Float] {
        let factor = try fields.double("factor")
        let low = try fields.double("low_freq_factor")
        let high = try fields.double("high_freq_factor")
        let context = try originalContext(fields)
        guard (2...1024).contains(rope.dims), low > 0, high > low, factor >= 1 else {
            throw fields.unsupported("factor", "the factors are invalid")
        }
        return (0..<(rope.dims / 2)).map { pair in
            let wave = 2 * Double.pi * pow(rope.base, 2 * Double(pair) / Double(rope.dims))
            if wave < context / high { return 1 }
            if wave > context / low { return Float(factor) }
            let blend = (context / wave - low) / (high - low)
            return Float(1 / ((1 - blend) / factor + blend))
        }
    }
}
