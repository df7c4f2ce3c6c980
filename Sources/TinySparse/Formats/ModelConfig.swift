// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What kind of model it is: an architecture described as data.
public struct ModelConfig: Sendable, Equatable {
    /// How a layer's input is normalized.
    package enum Norm: String, Sendable { case rms, layer }
    /// The non-linearity of the feed-forward layers.
    package enum Activation: String, Sendable {
        case silu, relu
        /// The square of `relu`.
        case relu2
        /// x where x exceeds `activationThreshold`, else 0.
        case fatrelu
        /// In its tanh form and in its exact one.
        case gelu, geluErf = "gelu_erf"

        /// Whether many activations are exactly zero, so that their neurons can be skipped without loss.
        package var isSparse: Bool {
            switch self {
            case .relu, .relu2, .fatrelu: true
            case .silu, .gelu, .geluErf: false
            }
        }
    }
    /// How a token's position enters.
    package enum Positions: Sendable, Equatable {
        /// Queries and keys are rotated.
        case rope(RotaryEmbedding)
        /// Row p of a learned table is position p.
        case learned
    }
    /// How the two halves of a layer are added to the residual stream.
    package enum Residual: String, Sendable {
        /// The MLP reads what attention has added.
        case sequential
        /// Attention and MLP read the same, and both are added. Without `mlpNorm`, `attentionNorm` is for both.
        case parallel
        /// As `sequential`, but each sum is normalized by the half's post-norm: the norm is on the residual stream.
        case normalized
    }
    /// Which rotation the queries and keys of a layer get.
    package enum LayerRope: Int, Sendable {
        case none, main, local
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
    /// True if the output matrix is the embedding.
    package var tiedHead: Bool
    /// The matrices of a layer that have a bias.
    package var biases: Set<TensorRole>
    /// What `fatrelu` compares with.
    package var activationThreshold: Float = 0
    /// True if a gated MLP activates up as well: act(gate) · act(up).
    package var activatesUp = false
    /// The norms the model has. Without `attentionNorm`, or `mlpNorm`, that half reads the residual stream as it is.
    package var norms: Set<TensorRole> = [.attentionNorm, .mlpNorm, .outputNorm]
    /// True if `queryNorm` and `keyNorm` normalize all heads together, and not each by itself with the same weights.
    package var normalizesAllHeads = false
    package var residual = Residual.sequential
    /// How many of the last tokens a layer's attention sees, the current one among them; 0 for all. One for each layer, or
    /// empty if all layers see all.
    package var windows: [Int] = []
    /// One for each layer, or empty if all have the `main` rotation.
    package var layerRopes: [LayerRope] = []
    /// The rotation of `local` layers.
    package var localRope: RotaryEmbedding?
    /// Scores of attention, and logits, are squeezed into ±cap by cap · tanh(x / cap); 0 for neither.
    package var attentionSoftCap: Float = 0
    package var logitSoftCap: Float = 0
    /// Width of an embedding, if two matrices connect it to a residual stream of another width; else `dModel`.
    package var embeddingWidth: Int
    /// nil if every neuron is for every token.
    package var experts: Experts?
    /// Predictors of active neurons and heads, if the file has them.
    package var predictors = PredictorConfig()
    /// Which matrices have 4-bit weights, if the file has any.
    package var fourBit = PackedRoles(.fourBit)
    /// Which have ternary weights.
    package var ternary = PackedRoles(.ternary)

    package init(
        architecture: String, name: String, vocabularySize: Int, dModel: Int, nLayers: Int, nHeads: Int,
        nKVHeads: Int, headDim: Int, dFF: Int, contextLength: Int, normEpsilon: Float, normKind: Norm,
        activation: Activation, gated: Bool, positions: Positions, tiedHead: Bool,
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
        self.tiedHead = tiedHead
        self.biases = biases
        embeddingWidth = dModel
    }

    /// Width of all query heads together.
    package var dQuery: Int { nHeads * headDim }
    /// Width of all key heads together.
    package var dKV: Int { nKVHeads * headDim }
    /// Whether two matrices connect embeddings to the residual stream.
    package var projectsEmbeddings: Bool { embeddingWidth != dModel }

    /// How many tokens a layer's attention sees; nil for all.
    package func window(_ layer: Int) -> Int? { windows.isEmpty || windows[layer] == 0 ? nil : windows[layer] }

    /// The rotation of a layer; nil for none.
    package func rope(_ layer: Int) -> RotaryEmbedding? {
        guard case .rope(let main) = positions else { return nil }
        switch layerRopes.isEmpty ? .main : layerRopes[layer] {
        case .none: return nil
        case .main: return main
        case .local: return localRope
        }
    }
}

extension ModelConfig {
    /// Widest row. Sums of that many products of 8-bit numbers, even unsigned
    /// by signed, still fit 32 bits.
    static let widthLimit = 1 << 16
    /// Most layers.
    static let layerLimit = 4096

    /// The layers of a model whose count has not been validated: as many as there can be at most.
    package static func layers(_ count: Int) -> Range<Int> { 0..<max(min(count, layerLimit), 0) }

    /// Sets which layers have the `main` rotation; the others have none. The count of layers need not be valid.
    package mutating func rotateLayers(where isRotated: (Int) -> Bool) {
        layerRopes = Self.layers(nLayers).map { isRotated($0) ? .main : .none }
    }

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
        try check("number of layers", nLayers, 1...Self.layerLimit)
        try check("number of heads", nHeads, 1...4096)
        try check("number of key/value heads", nKVHeads, 1...nHeads)
        try check("head dimension", headDim, 2...1024)
        // The experts of a layer are one matrix, of which a token uses a small part.
        try check("feed-forward length", dFF, 1...(experts == nil ? Self.widthLimit : 1 << 20))
        try check("context length", contextLength, 1...(1 << 24))
        try check("width of all heads", dQuery, 1...Self.widthLimit)
        try require(
            nHeads % nKVHeads == 0, "number of heads",
            "\(nHeads) is not a multiple of the \(nKVHeads) key/value heads")
        try require(headDim % 2 == 0, "head dimension", "\(headDim) is odd")
        try require(
            normEpsilon >= 0 && normEpsilon <= 1, "norm epsilon", "\(normEpsilon) is not in 0...1")
        if case .rope(let rope) = positions { try rope.validate("rope", headDim: headDim, path: path) }
        try experts?.validate(dFF: dFF, path: path)
        try localRope?.validate("local rope", headDim: headDim, path: path)
        try check("embedding width", embeddingWidth, 1...Self.widthLimit)
        try require(
            [attentionSoftCap, logitSoftCap].allSatisfy { $0 == 0 || $0 >= 1e-3 && $0 <= 1e6 }, "soft cap",
            "one is not in 0.001...1e6")
        try require(
            activationThreshold.magnitude <= 1e6, "activation threshold", "\(activationThreshold) is not in -1e6...1e6")
        try require(activation != .fatrelu || activationThreshold >= 0, "activation threshold", "is negative")
        try require(
            windows.isEmpty || windows.count == nLayers && windows.allSatisfy { 0...(1 << 24) ~= $0 }, "windows",
            "there is not one in 0...16777216 for each layer")
        try require(
            layerRopes.isEmpty || layerRopes.count == nLayers && (localRope != nil || !layerRopes.contains(.local)),
            "layer ropes", "there is not one for each layer, or no local rope")
        try require(
            norms.isSubset(of: TensorRole.allCases.filter { $0.isNorm }), "norms", "a tensor among them is no norm")
        try require(
            norms.contains(.queryNorm) == norms.contains(.keyNorm), "norms", "only one of queries and keys has one")
        try require(
            normKind == .rms || norms.isDisjoint(with: [.attentionSubNorm, .mlpSubNorm]), "norms",
            "a layer norm would change heads and neurons that are not active")
        try require(
            experts == nil || !fourBit.contains(.down) && !ternary.contains(.down), "experts",
            "4-bit or ternary weights of their down projections are not supported")
        try require(
            !ternary.roles.contains { fourBit.contains($0) }, PackedRoles.Storage.ternary.rawValue,
            "lists a matrix that \(PackedRoles.Storage.fourBit.rawValue) lists, too; convert the original model again")
        try require(
            experts == nil || predictors.neuronRanks.allSatisfy { $0 == 0 } && !predictors.gates.contains(true),
            "experts",
            "predictors of neurons beside them are not supported")
        try require(experts == nil || residual == .sequential, "experts", "are supported in sequential layers only")
        try require(
            residual != .normalized || norms.isSuperset(of: [.attentionPostNorm, .mlpPostNorm]), "norms",
            "a normalized residual stream has no norms")
    }

    /// All matrices of a layer.
    package var layerMatrices: Set<TensorRole> {
        Set(TensorRole.allCases.filter { $0.isAttention || $0.isMLP && (gated || $0 != .gate) })
    }
}
