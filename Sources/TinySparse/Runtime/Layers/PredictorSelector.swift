// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// Selects neurons and heads by the scores of a model's predictors, or neurons by their gates (docs/NUMERICS.md, 10).
package final class PredictorSelector: SparsitySelector {
    /// What a score has to reach.
    package enum Limit: Sendable {
        case threshold(Float)
        /// The highest scores of a layer's neurons.
        case share(Double)
    }

    private let context: ComputeContext
    private let weights: Weights
    /// For each layer; nil for all of its neurons or heads.
    private let neuronLimits, headLimits: [Limit?]
    private let neurons, heads: ActiveSets
    /// Of neurons that share a score; nil where each has its own.
    private let groups: ActiveSets?
    /// `[tokens, rank]` and `[tokens, outputs]` of the predictor at hand.
    private let inner, scores: AlignedBuffer<Float>
    /// One for each rank that a predictor has: rows of different widths have different strides.
    private let quantized: [Int: Activations]
    /// For predictions on one thread.
    private let scratch: AlignedBuffer<UInt8>
    /// Predictors of up to so many bytes do not amortize waking the workers.
    private static let smallPredictor = 1 << 17

    /// - Parameters:
    ///   - neurons: a limit for each layer; nil selects all neurons of a layer, as does a layer without a predictor or
    ///     gate rule.
    ///   - heads: likewise.
    package init(
        _ context: ComputeContext, _ weights: Weights, neurons neuronLimits: [Limit?], heads headLimits: [Limit?],
        capacity: Int, in memory: SessionMemory
    ) throws(RuntimeError) {
        self.context = context
        self.weights = weights
        self.neuronLimits = neuronLimits
        self.headLimits = headLimits
        let shape = context.shape
        neurons = try ActiveSets(total: shape.dFF, capacity: capacity, in: memory)
        let group = weights.layers.compactMap { $0.neuronPredictor?.group }.max() ?? 1
        groups = group > 1 ? try ActiveSets(total: shape.dFF / group, capacity: capacity, in: memory) : nil
        heads = try ActiveSets(total: shape.nHeads, capacity: capacity, in: memory)
        let predictors = weights.layers.flatMap { [$0.neuronPredictor, $0.headPredictor] }.compactMap { $0 }
        let ranks = Set(predictors.map { $0.rank })
        var quantized: [Int: Activations] = [:]
        for rank in ranks { quantized[rank] = try Activations(width: rank, capacity: capacity, in: memory) }
        self.quantized = quantized
        inner = try AlignedBuffer(capacity * (ranks.max() ?? 0), in: memory)
        scores = try AlignedBuffer(capacity * max(shape.dFF, shape.nHeads), in: memory)
        scratch = try AlignedBuffer(predictors.map { $0.scratchSize }.max() ?? 0, in: memory)
    }

    /// The selector of a session's `sparsity`; nil if everything is dense.
    static func make(
        _ context: ComputeContext, _ weights: Weights, _ sparsity: Sparsity, capacity: Int, in memory: SessionMemory
    ) throws(RuntimeError) -> PredictorSelector? {
        let neuronLimits: [Limit?]
        let withHeads: Bool
        switch sparsity {
        case .off: return nil
        case .predicted(let margin, let heads):
            neuronLimits = weights.layers.map { layer in
                (layer.neuronPredictor?.threshold ?? layer.gateRule?.threshold).map { .threshold($0 - margin) }
            }
            withHeads = heads
        case .keep(let share, let heads):
            neuronLimits = weights.layers.map { _ in .share(share) }
            withHeads = heads
        }
        let headLimits = weights.layers.map { layer -> Limit? in
            withHeads ? layer.headPredictor.map { .threshold($0.threshold) } : nil
        }
        return try PredictorSelector(
            context, weights, neurons: neuronLimits, heads: headLimits, capacity: capacity, in: memory)
    }

    /// Layer 0 has no layer before it, so nothing is predicted there.
    package func heads(_ layer: Int, _ previous: LayerInputs, tokens: Int) -> Selection {
        guard layer > 0, let predictor = weights.layers[layer].headPredictor, let limit = headLimits[layer] else {
            return .all
        }
        score(predictor, previous(weights.headInput), tokens)
        select(heads, limit, tokens)
        return .indices(heads)
    }

    package func neurons(_ layer: Int, _ inputs: LayerInputs, tokens: Int) -> Selection {
        guard let predictor = weights.layers[layer].neuronPredictor, let limit = neuronLimits[layer] else {
            return .all
        }
        score(predictor, inputs(weights.neuronInput), tokens)
        if let groups {
            select(groups, limit, tokens)
            context.forEachToken(tokens) { t in neurons.expand(t, groups, of: predictor.group) }
        } else {
            select(neurons, limit, tokens)
        }
        return .indices(neurons)
    }

    package func usesGates(_ layer: Int) -> Bool {
        weights.layers[layer].gateRule != nil && neuronLimits[layer] != nil
    }

    package func neurons(_ layer: Int, gates: UnsafePointer<Float>, tokens: Int) -> Selection {
        guard let rule = weights.layers[layer].gateRule, let limit = neuronLimits[layer] else { return .all }
        let total = context.shape.dFF
        for t in 0..<tokens {
            let gates = gates + t * total, scores = scores.pointer + t * total
            for i in 0..<total { scores[i] = gates[i].magnitude * rule.gain[i] }
        }
        select(neurons, limit, tokens)
        return .indices(neurons)
    }

    /// `scores[t] = W_b quantize(W_a x[t])` of all tokens, with a ReLU between if the predictor has one.
    private func score(_ predictor: Predictor, _ x: Activations, _ tokens: Int) {
        if tokens == 1, predictor.bytes <= Self.smallPredictor {
            return predictor.scores(
                x.row(0), context.kernels, UnsafeMutableRawPointer(scratch.pointer), into: scores.pointer)
        }
        let rank = predictor.rank
        let reduced = quantized[rank]!
        context.products.multiply(x.rows(), tokens: tokens, ProductTarget(map: predictor.reduce, out: inner.pointer))
        context.forEachToken(tokens) { t in
            if predictor.hasRelu { context.kernels.relu(inner.pointer + t * rank, rank) }
            reduced.set(t, inner.pointer + t * rank, rank, context.kernels)
        }
        context.multiply(reduced, tokens: tokens, ProductTarget(map: predictor.expand, out: scores.pointer))
    }

    /// Makes each token's set the members whose scores are within the limit.
    private func select(_ sets: ActiveSets, _ limit: Limit, _ tokens: Int) {
        switch limit {
        case .share(let share):
            for t in 0..<tokens {
                sets.chooseLargest(t, share: share, scores.pointer + t * sets.total, context.kernels)
            }
        case .threshold(let threshold):
            context.forEachToken(tokens) { t in
                sets.choose(t, scores.pointer + t * sets.total, atLeast: threshold, context.kernels)
            }
        }
    }
}
