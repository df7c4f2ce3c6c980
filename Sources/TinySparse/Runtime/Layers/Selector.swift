import SIMDKernels
import TinyFormats

/// Which neurons and heads a session computes.
package enum Sparsity: Sendable {
    /// All of them.
    case off
    /// Those that the model's predictors name. `margin` is added to the scores of neurons: above 0, more of
    /// them are kept. Without `heads`, all heads are. Layers without a predictor are dense.
    case predicted(margin: Float = 0, heads: Bool = true)
    /// Neurons by predictor score, a fixed share of each layer; heads by predictor as they are, or all.
    case keep(Double, heads: Bool = true)
    /// Those that the model's predictors name with these thresholds, one a layer; nil stands for all of a layer.
    case thresholds(neurons: [Float?], heads: [Float?])
    /// The neurons that add most to the residual stream, a fixed share of each layer, known by computing all:
    /// what a perfect predictor could reach. Slow; a yardstick.
    case oracle(keep: Double)
    /// The same neurons and heads for every token; nil stands for all of a layer.
    case fixed(neurons: [[Int32]?], heads: [[Int32]?])

    /// - Throws: `RuntimeError.badOption` for lists that the model's layers do not fit.
    func check(_ config: ModelConfig) throws(RuntimeError) {
        func check(_ lists: [[Int32]?], _ what: String, total: Int) throws(RuntimeError) {
            guard lists.count == config.nLayers else {
                throw .badOption("\(lists.count) lists of \(what) for \(config.nLayers) layers")
            }
            for case let list? in lists {
                let isAscending = zip(list, list.dropFirst()).allSatisfy { $0 < $1 }
                guard isAscending, list.first ?? 0 >= 0, list.last ?? 0 < total else {
                    throw .badOption("a list of \(what) is not ascending within 0..<\(total)")
                }
            }
        }
        switch self {
        case .off: break
        case .predicted(let margin, _):
            guard margin.isFinite else { throw .badOption("a predictor margin of \(margin)") }
        case .thresholds(let neurons, let heads):
            guard neurons.count == config.nLayers, heads.count == config.nLayers else {
                throw .badOption("\(neurons.count) and \(heads.count) thresholds for \(config.nLayers) layers")
            }
            guard (neurons + heads).allSatisfy({ $0?.isNaN != true }) else { throw .badOption("a threshold is no number") }
        case .keep(let share, _), .oracle(let share):
            guard share >= 0, share <= 1 else { throw .badOption("a share of \(share) neurons is not in 0...1") }
        case .fixed(let neurons, let heads):
            try check(neurons, "neurons", total: config.dFF)
            try check(heads, "heads", total: config.nHeads)
        }
    }
}

/// Names the active neurons and heads of each layer (docs/NUMERICS.md, 10).
final class Selector {
    private let engine: Engine
    private let weights: Weights
    private let mode: Sparsity
    private let neurons: ActiveSets
    /// Of neurons that share a score; nil where each has its own.
    private let groups: ActiveSets?
    private let heads: ActiveSets
    private let inner: AlignedBuffer<Float>
    private let scores: AlignedBuffer<Float>
    /// One for each rank that a predictor has: rows of different widths lie differently.
    private let quantized: [Int: Activations]
    private let sorted: AlignedBuffer<Float>
    /// For predictions on one thread.
    private let scratch: AlignedBuffer<UInt8>
    /// Predictors of up to so many bytes are not worth waking anybody.
    private static let small = 1 << 17
    /// For the oracle: norms of the rows of each layer's down projection.
    private let reach: [[Float]]

    /// What a score has to reach.
    private enum Limit {
        case threshold(Float)
        /// The highest scores of a layer's neurons.
        case share(Double)
    }

    /// nil if everything is dense.
    init?(_ engine: Engine, _ weights: Weights, _ mode: Sparsity, capacity: Int) throws(RuntimeError) {
        if case .off = mode { return nil }
        self.engine = engine
        self.weights = weights
        self.mode = mode
        let shape = engine.shape
        neurons = try ActiveSets(total: shape.dFF, capacity: capacity)
        let group = weights.layers.compactMap { $0.neuronPredictor?.group }.max() ?? 1
        groups = group > 1 ? try ActiveSets(total: shape.dFF / group, capacity: capacity) : nil
        heads = try ActiveSets(total: shape.nHeads, capacity: capacity)
        let predictors = weights.layers.flatMap { [$0.neuronPredictor, $0.headPredictor] }.compactMap { $0 }
        let ranks = Set(predictors.map { $0.rank })
        var quantized: [Int: Activations] = [:]
        for rank in ranks { quantized[rank] = try Activations(width: rank, capacity: capacity) }
        self.quantized = quantized
        inner = try AlignedBuffer(capacity * (ranks.max() ?? 0))
        scores = try AlignedBuffer(capacity * max(shape.dFF, shape.nHeads))
        sorted = try AlignedBuffer(shape.dFF)
        scratch = try AlignedBuffer(predictors.map { $0.scratchSize }.max() ?? 0)
        if case .oracle = mode {
            reach = weights.layers.map { $0.down.inputEnergies.map { $0.squareRoot() } }
        } else {
            reach = []
        }
    }

    /// The neurons of a layer, from the norm its predictor was trained on or, by rule, from its gates.
    func neurons(_ layer: Int, _ x: Activations, tokens: Int) -> MLP.Choice {
        let predictor = weights.layers[layer].neuronPredictor, rule = weights.layers[layer].gateRule
        let limit: Limit
        switch mode {
        case .off, .oracle: return .all
        case .fixed(let lists, _):
            guard let list = lists[layer] else { return .all }
            for t in 0..<tokens { neurons.set(t, list) }
            return .these(neurons)
        case .predicted(let margin, _):
            guard let own = predictor?.threshold ?? rule?.threshold else { return .all }
            limit = .threshold(own - margin)
        case .thresholds(let thresholds, _):
            guard let threshold = thresholds[layer] else { return .all }
            limit = .threshold(threshold)
        case .keep(let share, _):
            limit = .share(share)
        }
        if let predictor {
            score(predictor, x, tokens)
            guard let groups else { return .these(best(neurons, limit, tokens)) }
            _ = best(groups, limit, tokens)
            engine.forEach(tokens) { t in neurons.expand(t, groups, of: predictor.group) }
            return .these(neurons)
        }
        guard let rule else { return .all }
        return .byGate { [self] gates in
            let total = engine.shape.dFF
            for t in 0..<tokens {
                let gates = gates + t * total, scores = scores.pointer + t * total
                for i in 0..<total { scores[i] = gates[i].magnitude * rule.reach[i] }
            }
            return best(neurons, limit, tokens)
        }
    }

    /// The heads of layer `layer`, from the norm before the MLP of the layer before; nil for all. Layer 0
    /// has no layer before, so nothing is predicted there.
    func heads(_ layer: Int, _ x: Activations, tokens: Int) -> ActiveSets? {
        switch mode {
        case .off, .oracle, .predicted(_, heads: false), .keep(_, heads: false): return nil
        case .fixed(_, let lists):
            guard let list = lists[layer] else { return nil }
            for t in 0..<tokens { heads.set(t, list) }
            return heads
        case .predicted, .keep:
            guard layer > 0, let predictor = weights.layers[layer].headPredictor else { return nil }
            score(predictor, x, tokens)
            return best(heads, .threshold(predictor.threshold), tokens)
        case .thresholds(_, let thresholds):
            guard layer > 0, let predictor = weights.layers[layer].headPredictor, let threshold = thresholds[layer] else { return nil }
            score(predictor, x, tokens)
            return best(heads, .threshold(threshold), tokens)
        }
    }

    /// For the oracle: the neurons of a layer with the largest `[tokens, dFF]` activations, by what these add to
    /// the residual stream; nil in other modes.
    func largest(_ layer: Int, _ activations: UnsafePointer<Float>, tokens: Int) -> ActiveSets? {
        guard case .oracle(let share) = mode else { return nil }
        let magnitudes = scores.pointer, total = engine.shape.dFF
        for t in 0..<tokens {
            for i in 0..<total { magnitudes[t * total + i] = activations[t * total + i].magnitude * reach[layer][i] }
        }
        keepLargest(share, neurons, magnitudes, tokens)
        return neurons
    }

    private func score(_ predictor: Predictor, _ x: Activations, _ tokens: Int) {
        if tokens == 1, predictor.bytes <= Self.small {
            return predictor.scores(x.row(0), engine.kernels, UnsafeMutableRawPointer(scratch.pointer), into: scores.pointer)
        }
        let rank = predictor.rank
        let reduced = quantized[rank]!
        engine.multiplier.multiply(
            x.rows(), tokens: tokens, .init(map: predictor.reduce, out: inner.pointer))
        engine.forEach(tokens) { t in
            reduced.set(t, inner.pointer + t * rank, rank, engine.kernels)
        }
        engine.multiplier.sumNeurons(reduced, tokens: tokens, active: nil, .init(map: predictor.expand, out: scores.pointer))
    }

    /// The members of each token's set whose scores are within the limit.
    private func best(_ sets: ActiveSets, _ limit: Limit, _ tokens: Int) -> ActiveSets {
        switch limit {
        case .share(let share): keepLargest(share, sets, UnsafePointer(scores.pointer), tokens)
        case .threshold(let threshold):
            engine.forEach(tokens) { t in
                sets.choose(t, scores.pointer + t * sets.total, atLeast: threshold, engine.kernels)
            }
        }
        return sets
    }

    /// Keeps `share` of the members of each token's set, those with the largest values; of equals, the first.
    private func keepLargest(_ share: Double, _ sets: ActiveSets, _ values: UnsafePointer<Float>, _ tokens: Int) {
        let total = sets.total
        let count = min(Int((Double(total) * share).rounded(.up)), total)
        for t in 0..<tokens {
            let row = values + t * total
            guard count > 0 else {
                sets.set(t, [])
                continue
            }
            let least = largest(count, of: row, total)
            sets.choose(t, row, atLeast: least, engine.kernels)
            sets.cut(t, to: count, row, least: least)
        }
    }

    /// The value that `rank` of `count` values reach. O(count): the values fall into bins by their upper bits, and
    /// only the bin that holds the wanted one is sorted.
    private func largest(_ rank: Int, of values: UnsafePointer<Float>, _ count: Int) -> Float {
        /// Upper bits that order as the values do.
        func bin(_ x: Float) -> Int {
            let bits = x.bitPattern
            return Int((bits ^ (bits >> 31 == 0 ? 0x8000_0000 : 0xFFFF_FFFF)) >> 20)
        }
        return withUnsafeTemporaryAllocation(of: Int32.self, capacity: 4096) { sizes in
            sizes.initialize(repeating: 0)
            for i in 0..<count { sizes[bin(values[i])] += 1 }
            var wanted = 4095, left = rank
            while left > Int(sizes[wanted]) {
                left -= Int(sizes[wanted])
                wanted -= 1
            }
            var members = 0
            for i in 0..<count where bin(values[i]) == wanted {
                sorted.pointer[members] = values[i]
                members += 1
            }
            var few = UnsafeMutableBufferPointer(start: sorted.pointer, count: members)
            few.sort(by: >)
            return few[left - 1]
        }
    }
}
