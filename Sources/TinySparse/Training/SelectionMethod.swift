// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime

/// How a session selects neurons and heads: as the runtime offers it, or in ways that only serve comparison and
/// calibration.
package enum SelectionMethod: Sendable {
    /// What every session can do.
    case sparsity(Sparsity)
    /// By the model's predictors with these thresholds, one for each layer; nil selects all of a layer.
    case thresholds(neurons: [Float?], heads: [Float?])
    /// The neurons that add most to the residual stream, a fixed share of each layer, known by computing all:
    /// what a perfect predictor could reach. Slow; a yardstick.
    case oracle(keep: Double)
    /// The same neurons and heads for every token; nil stands for all of a layer.
    case fixed(neurons: [[Int32]?], heads: [[Int32]?])

    package static var off: Self { .sparsity(.off) }
    package static func predicted(margin: Float = 0, heads: Bool = true) -> Self {
        .sparsity(.predicted(margin: margin, heads: heads))
    }
    package static func keep(_ share: Double, heads: Bool = true) -> Self { .sparsity(.keep(share, heads: heads)) }
}

extension Session {
    /// - Parameter method: what selects neurons and heads, in place of `options.sparsity`.
    /// - Throws: `RuntimeError`, among others for lists that the model's layers do not fit.
    package convenience init(_ model: Model, _ options: Options, _ method: SelectionMethod) throws(RuntimeError) {
        var options = options
        switch method {
        case .sparsity(let sparsity):
            options.sparsity = sparsity
            try self.init(model, options)
        case .thresholds(let neurons, let heads):
            let layers = model.config.nLayers
            guard neurons.count == layers, heads.count == layers else {
                throw .badOption("\(neurons.count) and \(heads.count) thresholds for \(layers) layers")
            }
            guard (neurons + heads).allSatisfy({ $0?.isNaN != true }) else { throw .badOption("a threshold is NaN") }
            try self.init(model, options) { context, weights, capacity, memory throws(RuntimeError) in
                try PredictorSelector(
                    context, weights, neurons: neurons.map { $0.map { .threshold($0) } },
                    heads: heads.map { $0.map { .threshold($0) } }, capacity: capacity, in: memory)
            }
        case .oracle(let share):
            guard share >= 0, share <= 1 else { throw .badOption("a share of \(share) neurons is not in 0...1") }
            try self.init(model, options) { context, weights, capacity, memory throws(RuntimeError) in
                try OracleSelector(context, weights, keep: share, capacity: capacity, in: memory)
            }
        case .fixed(let neurons, let heads):
            try Self.check(neurons, "neurons", total: model.config.dFF, layers: model.config.nLayers)
            try Self.check(heads, "heads", total: model.config.nHeads, layers: model.config.nLayers)
            try self.init(model, options) { context, _, capacity, memory throws(RuntimeError) in
                try FixedSelector(context, neurons: neurons, heads: heads, capacity: capacity, in: memory)
            }
        }
    }

    private static func check(
        _ lists: [[Int32]?], _ what: String, total: Int, layers: Int
    ) throws(RuntimeError) {
        guard lists.count == layers else { throw .badOption("\(lists.count) lists of \(what) for \(layers) layers") }
        for case let list? in lists {
            let isAscending = zip(list, list.dropFirst()).allSatisfy { $0 < $1 }
            guard isAscending, list.first ?? 0 >= 0, list.last ?? 0 < total else {
                throw .badOption("a list of \(what) is not ascending within 0..<\(total)")
            }
        }
    }
}

/// The same neurons and heads for every token.
private final class FixedSelector: SparsitySelector {
    private let neuronLists, headLists: [[Int32]?]
    private let neurons, heads: ActiveSets

    init(
        _ context: ComputeContext, neurons neuronLists: [[Int32]?], heads headLists: [[Int32]?], capacity: Int,
        in memory: SessionMemory
    ) throws(RuntimeError) {
        self.neuronLists = neuronLists
        self.headLists = headLists
        neurons = try ActiveSets(total: context.shape.dFF, capacity: capacity, in: memory)
        heads = try ActiveSets(total: context.shape.nHeads, capacity: capacity, in: memory)
    }

    func heads(_ layer: Int, _ previous: LayerInputs, tokens: Int) -> Selection {
        select(heads, headLists[layer], tokens)
    }

    func neurons(_ layer: Int, _ inputs: LayerInputs, tokens: Int) -> Selection {
        select(neurons, neuronLists[layer], tokens)
    }

    private func select(_ sets: ActiveSets, _ list: [Int32]?, _ tokens: Int) -> Selection {
        guard let list else { return .all }
        for t in 0..<tokens { sets.set(t, list) }
        return .indices(sets)
    }
}

/// Computes every neuron of a layer to know which add most.
private final class OracleSelector: SparsitySelector {
    private let context: ComputeContext
    private let weights: Weights
    private let share: Double
    private let mlp: MLP
    /// `[tokens, dModel]` outputs of the MLP, which nobody reads.
    private let outputs: AlignedBuffer<Float>
    /// `[tokens, dFF]` what each neuron adds.
    private let contributions: AlignedBuffer<Float>
    private let active: ActiveSets
    /// For each layer the norms of its down projection's rows.
    private let rowNorms: [[Float]]

    init(
        _ context: ComputeContext, _ weights: Weights, keep share: Double, capacity: Int, in memory: SessionMemory
    ) throws(RuntimeError) {
        self.context = context
        self.weights = weights
        self.share = share
        mlp = try MLP(context, capacity: capacity, in: memory)
        outputs = try AlignedBuffer(capacity * context.shape.dModel, in: memory)
        contributions = try AlignedBuffer(capacity * context.shape.dFF, in: memory)
        active = try ActiveSets(total: context.shape.dFF, capacity: capacity, in: memory)
        rowNorms = memory.isPlan ? [] : weights.layers.map { $0.down.inputEnergies.map { $0.squareRoot() } }
    }

    func neurons(_ layer: Int, _ inputs: LayerInputs, tokens: Int) -> Selection {
        mlp.run(weights.layers[layer], inputs.mlp, tokens: tokens, .all, into: outputs.pointer)
        let total = context.shape.dFF
        for t in 0..<tokens {
            let row = contributions.pointer + t * total
            for i in 0..<total { row[i] = mlp.activations[t * total + i].magnitude * rowNorms[layer][i] }
            active.chooseLargest(t, share: share, row, context.kernels)
        }
        return .indices(active)
    }
}
