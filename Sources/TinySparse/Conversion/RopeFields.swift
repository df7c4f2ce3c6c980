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
    /// - Throws: `FormatError` naming the key.
    func rope(headDim: Int) throws(FormatError) -> ModelConfig.Positions {
        let kind = try optionalString("rope.scaling.type") ?? "none"
        guard kind == "none" || kind == "linear" else {
            throw unsupported(
                "rope.scaling.type", "rope scaling \"\(printable(kind))\" is not supported; none and linear are")
        }
        var scaling = try optionalDouble("rope.scale_linear") ?? 1
        if kind == "linear" { scaling = try double("rope.scaling.factor") }
        let dims = try optionalInteger("rope.dimension_count") ?? headDim
        guard dims == headDim else {
            throw unsupported(
                "rope.dimension_count", "\(dims) of the \(headDim) dimensions of a head are rotated; all have to be")
        }
        return .rope(base: try optionalDouble("rope.freq_base") ?? 10_000, scaling: scaling, dims: dims)
    }

    /// What the rotary frequencies are divided by, `[headDim / 2]`; empty if the file does not say.
    func ropeFactors() throws(FormatError) -> [Float] {
        guard let factors = gguf.tensor(Self.ropeFactorsName) else { return [] }
        guard factors.format == .f32, factors.dimensions.count == 1, factors.dimensions[0] <= 1 << 10 else {
            throw FormatError(
                .unsupported, path: gguf.path, item: Self.ropeFactorsName, "is not a short list of floats")
        }
        let bytes = gguf.bytes(of: factors)
        return (0..<factors.dimensions[0]).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
}

extension ConfigFields {
    /// Rotary positions: `rope_theta` and `rope_scaling` of older files, `rope_parameters` of newer ones.
    /// - Returns: also what the frequencies are divided by, `[headDim / 2]` or empty.
    func rope(headDim: Int) throws(FormatError) -> (ModelConfig.Positions, factors: [Float]) {
        if let part = try optionalDouble("partial_rotary_factor"), part != 1 {
            throw unsupported("partial_rotary_factor", "only 1 is supported")
        }
        let newer = try object("rope_parameters")
        var base = try newer?.optionalDouble("rope_theta")
        if base == nil { base = try optionalDouble("rope_theta") }
        let theta = base ?? 10_000
        func positions(_ scaling: Double) -> ModelConfig.Positions {
            .rope(base: theta, scaling: scaling, dims: headDim)
        }
        var scaling = newer
        if scaling == nil { scaling = try object("rope_scaling") }
        guard let scaling else { return (positions(1), []) }
        var kind = try scaling.optionalString("rope_type")
        if kind == nil { kind = try scaling.optionalString("type") }
        switch kind ?? "default" {
        case "default": return (positions(1), [])
        case "linear": return (positions(try scaling.double("factor")), [])
        case "llama3": return (positions(1), try scaling.llama3Factors(base: theta, headDim: headDim))
        case let kind:
            throw unsupported(
                "rope_scaling", "\"\(printable(kind))\" is not supported; default, linear and llama3 are")
        }
    }

    /// What Llama 3.1 and later divide the rotary frequencies by: 1 for short waves, `factor` for long ones, and a blend
    /// between.
    /// Source: Transformers, `_compute_llama3_parameters`.
    private func llama3Factors(base: Double, headDim: Int) throws(FormatError) -> [Float] {
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
