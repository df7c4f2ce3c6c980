// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What kind of model it is: an architecture described as data.
public struct ModelConfig: Sendable, Equatable {
    /// How a layer's input is normalized.
    package enum Norm: String, Sendable { case rms, layer }
    /// The non-linearity of the feed-forward layers.
    package enum Activation: String, Sendable {
        case silu, relu
        /// In its tanh form and in its exact one.
        case gelu, geluErf = "gelu_erf"

        /// Whether many activations are exactly zero, so that their neurons can be skipped without loss.
        package var isSparse: Bool { self == .relu }
    }
    /// How a token's position enters.
    package enum Positions: Sendable, Equatable {
        /// Rotary: pair i, the values i and i + dims / 2 of the first `dims` of a head, is rotated by
        /// (position / scaling) · base^(−2i / dims).
        case rope(base: Double, scaling: Double, dims: Int)
        /// Row p of a learned table is position p.
        case learned
    }

    /// `llama`, `opt`: where the model comes from. What it computes is said by the rest.
    public var architecture: String
    /// A name for people.
    public var name: String
    /// Tokens of the vocabulary, and rows of the logits.
    public var vocabularySize: Int
    /// Width of the residual stream.
    public var dModel: Int
    /// Transformer layers.
    public var nLayers: Int
    /// Query heads.
    public var nHeads: Int
    /// Key and value heads; divides `nHeads`.
    public var nKVHeads: Int
    /// Width of a head; even.
    public var headDim: Int
    /// Neurons of a feed-forward layer.
    public var dFF: Int
    /// Most tokens a model can look back on.
    public var contextLength: Int
    package var normEpsilon: Float
    package var normKind: Norm
    package var activation: Activation
    /// True if the feed-forward layer multiplies act(gate) by up.
    package var gated: Bool
    package var positions: Positions
    /// Divisors of the rotary frequencies, one per pair; empty if there are none.
    package var ropeFactors: [Float]
    /// True if the output matrix is the embedding.
    package var tiedHead: Bool
    /// The matrices of a layer that have a bias.
    package var biases: Set<TensorRole>
    /// Predictors of active neurons and heads, if the file has them.
    package var predictors = PredictorConfig()
    /// Which matrices have 4-bit weights, if the file has any.
    package var fourBit = FourBitRoles()

    package init(
        architecture: String, name: String, vocabularySize: Int, dModel: Int, nLayers: Int, nHeads: Int,
        nKVHeads: Int, headDim: Int, dFF: Int, contextLength: Int, normEpsilon: Float, normKind: Norm,
        activation: Activation, gated: Bool, positions: Positions, ropeFactors: [Float], tiedHead: Bool,
        biases: Set<TensorRole> = []
    ) {
        self.architecture = architecture
        self.name = name
        self.vocabularySize = vocabularySize
        self.dModel = dModel
        self.nLayers = nLayers
        self.nHeads = nHeads
        self.nKVHeads = nKVHeads
        self.headDim = headDim
        self.dFF = dFF
        self.contextLength = contextLength
        self.normEpsilon = normEpsilon
        self.normKind = normKind
        self.activation = activation
        self.gated = gated
        self.positions = positions
        self.ropeFactors = ropeFactors
        self.tiedHead = tiedHead
        self.biases = biases
    }

    /// Width of all query heads together.
    package var dQuery: Int { nHeads * headDim }
    /// Width of all key heads together.
    package var dKV: Int { nKVHeads * headDim }
}

extension ModelConfig {
    /// Widest row. Sums of that many products of 8-bit numbers, even unsigned
    /// by signed, still fit 32 bits.
    static let widthLimit = 1 << 16

    /// Checks that every number is one a runtime can work with, so that no
    /// product of them overflows.
    /// - Throws: `FormatError` naming the field.
    package func validate(path: String) throws(FormatError) {
        func check(_ field: String, _ value: Int, _ range: ClosedRange<Int>) throws(FormatError) {
            guard range.contains(value) else {
                throw FormatError(
                    .malformed, path: path, item: field,
                    "is \(value); values from \(range.lowerBound) to \(range.upperBound) "
                        + "are supported")
            }
        }
        func require(_ condition: Bool, _ field: String, _ message: String) throws(FormatError) {
            guard condition else {
                throw FormatError(.malformed, path: path, item: field, message)
            }
        }
        try check("vocabulary size", vocabularySize, 1...(1 << 21))
        try check("embedding length", dModel, 1...Self.widthLimit)
        try check("number of layers", nLayers, 1...4096)
        try check("number of heads", nHeads, 1...4096)
        try check("number of key/value heads", nKVHeads, 1...nHeads)
        try check("head dimension", headDim, 2...1024)
        try check("feed-forward length", dFF, 1...Self.widthLimit)
        try check("context length", contextLength, 1...(1 << 24))
        try check("width of all heads", dQuery, 1...Self.widthLimit)
        try require(
            nHeads % nKVHeads == 0, "number of heads",
            "\(nHeads) is not a multiple of the \(nKVHeads) key/value heads")
        try require(headDim % 2 == 0, "head dimension", "\(headDim) is odd")
        try require(
            normEpsilon >= 0 && normEpsilon <= 1, "norm epsilon", "\(normEpsilon) is not in 0...1")
        switch positions {
        case .rope(let base, let scaling, let dims):
            try check("rope dimensions", dims, 2...headDim)
            try require(dims % 2 == 0, "rope dimensions", "\(dims) is odd")
            try require(base >= 1 && base <= 1e15, "rope base", "\(base) is not in 1...1e15")
            try require(
                scaling >= 1e-3 && scaling <= 1e6, "rope scaling", "\(scaling) is not in 0.001...1e6")
            try require(
                ropeFactors.isEmpty || ropeFactors.count == dims / 2, "rope factors",
                "there are \(ropeFactors.count), not one for each of \(dims / 2) pairs")
            try require(
                ropeFactors.allSatisfy { $0 >= 1e-6 && $0 <= 1e6 }, "rope factors",
                "one is not in 1e-6...1e6")
        case .learned:
            try require(ropeFactors.isEmpty, "rope factors", "learned positions have none")
        }
    }

    /// All matrices of a layer.
    package var layerMatrices: Set<TensorRole> {
        Set(TensorRole.allCases.filter { $0.isAttention || $0.isMLP && (gated || $0 != .gate) })
    }
}
