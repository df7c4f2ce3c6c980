// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Rotary positions: pair i, the values i and i + dims / 2 of the first `dims` of a head, is rotated by
/// (position / scaling) · base^(−2i / dims) / factors[i], and grows by `magnitude` (docs/NUMERICS.md, 7).
package struct RotaryEmbedding: Sendable, Equatable {
    package var base: Double
    package var scaling: Double
    package var dims: Int
    /// Divisors of the frequencies, one per pair; empty if there are none.
    package var factors: [Float]
    /// The divisors for sessions that can hold more than `originalContext` tokens; empty if they have the same.
    package var longFactors: [Float] = []
    /// The length of texts the model was trained with first.
    package var originalContext = 0
    /// What cosines and sines are multiplied by.
    package var magnitude: Double = 1

    package init(base: Double, scaling: Double = 1, dims: Int, factors: [Float] = []) {
        self.base = base
        self.scaling = scaling
        self.dims = dims
        self.factors = factors
    }

    /// The divisors in a session of `context` tokens.
    package func factors(context: Int) -> [Float] {
        usesLongFactors(context: context) ? longFactors : factors
    }

    /// Whether positions are rotated in a session of `context` tokens as only in long ones.
    package func usesLongFactors(context: Int) -> Bool { !longFactors.isEmpty && context > originalContext }

    /// Whether the divisors depend on the session, or cosines and sines on more than the angle.
    var isExtended: Bool { !longFactors.isEmpty || magnitude != 1 }

    /// - Throws: `FormatError` naming the number that a runtime cannot work with.
    func validate(_ name: String, headDim: Int, path: String) throws(FormatError) {
        func require(_ condition: Bool, _ field: String, _ message: String) throws(FormatError) {
            guard condition else { throw FormatError(.malformed, path: path, item: name + " " + field, message) }
        }
        try require(dims >= 2 && dims <= headDim, "dimensions", "is \(dims); values from 2 to \(headDim) are supported")
        try require(dims % 2 == 0, "dimensions", "\(dims) is odd")
        try require(base >= 1 && base <= 1e15, "base", "\(base) is not in 1...1e15")
        try require(scaling >= 1e-3 && scaling <= 1e6, "scaling", "\(scaling) is not in 0.001...1e6")
        try require(magnitude >= 1e-3 && magnitude <= 1e3, "magnitude", "\(magnitude) is not in 0.001...1000")
        for factors in [factors, longFactors] {
            try require(
                factors.isEmpty || factors.count == dims / 2, "factors",
                "there are \(factors.count), not one for each of \(dims / 2) pairs")
            try require(factors.allSatisfy { $0 >= 1e-6 && $0 <= 1e6 }, "factors", "one is not in 1e-6...1e6")
        }
        try require(
            longFactors.isEmpty || 1...(1 << 24) ~= originalContext, "original context",
            "\(originalContext) is not in 1...16777216")
    }
}

// The fields of native files, below "tinysparse.rope." or "tinysparse.rope.local.".

extension RotaryEmbedding {
    func write(to writer: inout GGUFWriter, _ prefix: String) {
        writer.add(prefix + "base", base)
        writer.add(prefix + "scaling", scaling)
        writer.add(prefix + "dimensions", UInt32(dims))
        if !factors.isEmpty { writer.add(prefix + "factors", factors) }
        if !longFactors.isEmpty {
            writer.add(prefix + "long_factors", longFactors)
            writer.add(prefix + "original_context", UInt32(originalContext))
        }
        if magnitude != 1 { writer.add(prefix + "magnitude", magnitude) }
    }

    /// - Throws: `FormatError` naming the key.
    init(_ gguf: GGUF, _ prefix: String) throws(FormatError) {
        base = try gguf.double(prefix + "base")
        scaling = try gguf.double(prefix + "scaling")
        dims = try gguf.integer(prefix + "dimensions")
        factors = try gguf.entry(prefix + "factors")?.floats(in: gguf.file) ?? []
        longFactors = try gguf.entry(prefix + "long_factors")?.floats(in: gguf.file) ?? []
        if !longFactors.isEmpty { originalContext = try gguf.integer(prefix + "original_context") }
        magnitude = try gguf.optionalDouble(prefix + "magnitude") ?? 1
    }
}
