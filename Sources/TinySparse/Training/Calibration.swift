// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime

/// A predictor, or a gate, with its possible thresholds and what it may save.
struct Candidate<Chooser> {
    let chooser: Chooser
    /// Weights that a token's choice reads.
    let cost: Int
    let curve: ScoreCurve
    /// Weights that a token reads when nothing is skipped.
    let bytes: Int
    /// What a byte of a chosen row costs, by one of a dense layer: rows that lie apart are read more slowly.
    var price = 1.0
}

/// All of a model, by layer; nil where there is none.
struct Candidates {
    var neurons: [Candidate<NeuronChooser>?]
    var heads: [Candidate<QuantizedPredictor>?]

    init(layers: Int) {
        neurons = .init(repeating: nil, count: layers)
        heads = .init(repeating: nil, count: layers)
    }
}

/// A predictor in the finished model, measured on text it was not trained on.
package struct PredictorReport: Sendable {
    /// 0 for neurons chosen by their gates; recall then is of energy.
    package let rank: Int
    package let threshold: Float
    /// Found of those active, and active of those found.
    package let recall, precision: Double
    /// Share that is computed.
    package let kept: Double
    /// Weights a token reads when nothing is skipped, and those that the predictor reads.
    package let bytes, predictorBytes: Int
}

/// What a training came to.
package struct TrainingResult: Sendable {
    /// By layer; nil for those that run dense.
    package let neurons, heads: [PredictorReport?]
    /// On the calibration pieces: heads only, and all together.
    package let headQuality, quality: Quality
    /// nil for a model without a screen, or with one from before.
    package var screen: LMHeadScreenReport?
}

/// Chooses a threshold for every predictor so that a budget of perplexity buys as many skipped bytes as it can.
///
/// A threshold loses energy of the residual stream and saves bytes, both known from the curves. Each layer takes
/// the threshold, or stays dense, with the least `sensitivity * energy lost + price * bytes read`; that is the best
/// trade for one price over all layers. The sensitivity of a layer is measured once: KL to the dense model when
/// it alone is sparse, by the energy it then loses. The price is found by bisection with the model itself.
struct Calibration {
    private let training: PredictorTraining
    private let candidates: Candidates
    private let model: Model
    private let total: Double
    /// What every step of the search for a price is measured on.
    private let sample: TextSample
    private static let steps = 9

    typealias Choice = [Int?]

    init(_ training: PredictorTraining, _ candidates: Candidates) throws(TrainingError) {
        self.training = training
        self.candidates = candidates
        let layers = training.model.config.nLayers
        let all = PredictorFile(
            neurons: candidates.neurons.map { $0?.chooser }, heads: candidates.heads.map { $0?.chooser },
            neuronThresholds: [Float](repeating: 0, count: layers),
            headThresholds: [Float](repeating: 0, count: layers),
            group: training.options.group, lookahead: training.options.lookahead)
        model = try ofFiles(Model(NativeModelFile(image: all.image(training.model.file), verify: false)))
        total = Double(training.model.bytesPerToken)
        // As many tokens as the search of a large model reads in some tens of minutes.
        sample = training.calibration.first(max(Int(2e13 / (total * Double(4 * (Self.steps + 1)))), 1024))
    }

    func run() throws(TrainingError) -> (file: PredictorFile, result: TrainingResult) {
        let options = training.options
        let dense = [Int?](repeating: nil, count: candidates.neurons.count)
        // Of a layer with ReLU, enough of what fires has to be found; of others there is no such thing.
        let least = model.config.activation.isSparse ? options.recall : 0
        let limits = candidates.neurons.map { $0?.curve.index(recall: least) ?? 0 }
        let headLimits = candidates.heads.map { $0?.curve.index(recall: options.recall) ?? 0 }
        let (neuronCosts, headCosts) = try sensitivities(limits, headLimits)

        let heads = try search(budget: options.budget * options.headBudget, phase: 0) { price in
            (dense, choose(candidates.heads, headCosts, headLimits, price))
        }
        let both = try search(budget: options.budget, phase: 1) { price in
            (choose(candidates.neurons, neuronCosts, limits, price), heads.choice.1)
        }
        return (
            file(both.choice),
            TrainingResult(
                neurons: report(candidates.neurons, both.choice.0, rank: { $0.rank }),
                heads: report(candidates.heads, both.choice.1, rank: { $0.rank }),
                headQuality: heads.quality, quality: both.quality)
        )
    }

    // MARK: Choosing

    /// Each layer's best threshold at a price, as an index into its curve; nil for dense.
    private func choose<C>(_ candidates: [Candidate<C>?], _ costs: [Double], _ limits: [Int], _ price: Double) -> Choice
    {
        candidates.indices.map { layer in
            guard let candidate = candidates[layer] else { return nil }
            let (curve, bytes) = (candidate.curve, Double(candidate.bytes) / total)
            let overhead = training.options.mustPay ? Double(candidate.cost) / total : 0
            func cost(_ k: Int) -> Double {
                costs[layer] * curve.lost[k] + price * (bytes * candidate.price * curve.kept[k] + overhead)
            }
            guard let best = (0...limits[layer]).min(by: { cost($0) < cost($1) }) else { return nil }
            return cost(best) < price * bytes ? best : nil
        }
    }

    /// The highest price whose choice keeps to the budget; in the end with one standard error to spare.
    private func search(
        budget: Double, phase: Int, _ choice: (Double) -> (Choice, Choice)
    ) throws(TrainingError) -> (choice: (Choice, Choice), quality: Quality) {
        var low = -20.0, high = 8.0  // powers of two
        func measure(_ exponent: Double, _ step: Int) throws(TrainingError) -> (
            choice: (Choice, Choice), quality: Quality
        ) {
            let choice = choice(Double64.exp(exponent * 0.6931471805599453))
            let quality = try compare([sparsity(choice.0, choice.1)], sample)[0]
            try training.tell(
                .calibrating(step: phase * (Self.steps + 1) + step + 1, of: 2 * (Self.steps + 1), quality))
            return (choice, quality)
        }
        func isWithin(_ quality: Quality) -> Bool {
            let spare = phase == 0 ? 0 : quality.lossIncreaseError
            return Double64.exp(quality.lossIncrease + spare) - 1 <= budget
        }
        var best = try measure(high, 0)
        if isWithin(best.quality) { return best }
        best = try measure(low, 1)
        for step in 2...Self.steps {
            let middle = (low + high) / 2
            let measured = try measure(middle, step)
            if isWithin(measured.quality) {
                best = measured
                low = middle
            } else {
                high = middle
            }
        }
        return best
    }

    /// KL of each layer alone by the energy it loses, for neurons and for heads.
    private func sensitivities(_ limits: [Int], _ headLimits: [Int]) throws(TrainingError) -> (
        neurons: [Double], heads: [Double]
    ) {
        let layers = candidates.neurons.count
        func probe(_ curve: ScoreCurve?, limit: Int) -> Int? {
            guard let curve else { return nil }
            // Half skipped, or as much as may be: enough to see, not so much that all breaks.
            return (0...limit).last { curve.kept[$0] >= 0.5 && curve.lost[$0] > 0 } ?? limit
        }
        let neurons = (0..<layers).map { probe(candidates.neurons[$0]?.curve, limit: limits[$0]) }
        let heads = (0..<layers).map { probe(candidates.heads[$0]?.curve, limit: headLimits[$0]) }
        func only(_ choice: Choice, _ layer: Int) -> Choice { choice.indices.map { $0 == layer ? choice[$0] : nil } }
        let none = Choice(repeating: nil, count: layers)
        let ways =
            (0..<layers).map { sparsity(only(neurons, $0), none) }
            + (0..<layers).map { sparsity(none, only(heads, $0)) }
        // As many tokens as about a minute allows for a large model.
        let tokens = min(max(400_000_000_000 / (Int(total) * ways.count), 256), 2048)
        let qualities = try compare(ways, training.calibration.first(tokens))
        func costs<C>(_ choice: Choice, _ candidates: [Candidate<C>?], _ offset: Int) -> [Double] {
            (0..<layers).map { layer in
                guard let k = choice[layer], let lost = candidates[layer]?.curve.lost[k], lost > 0 else { return 1 }
                return max(qualities[offset + layer].kl / lost, 1e-3)
            }
        }
        return (costs(neurons, candidates.neurons, 0), costs(heads, candidates.heads, layers))
    }

    // MARK: Running

    private func compare(_ ways: [SelectionMethod], _ sample: TextSample) throws(TrainingError) -> [Quality] {
        var results: [Quality] = []
        // Few sessions at a time: each has a cache and scratch of its own.
        let options = training.options
        let bytes =
            try ofRuntime(
                options.session.memoryNeeded(
                    model, context: options.context, blockSize: options.session.blockSize))
            - Session.Options.modelBytes(model)
        let most = max(min(options.workingMemory / max(bytes, 1) - 1, 16), 1)
        for first in stride(from: 0, to: ways.count, by: most) {
            var isStopped = false
            let some = Array(ways[first..<min(first + most, ways.count)])
            results += try ofRuntime(
                Comparison(model, sample, training.options.session).run(some) { _, _ in
                    isStopped = !training.report(.calibrating(step: 0, of: 0, nil))
                    return !isStopped
                })
            if isStopped { throw .stopped }
        }
        return results
    }

    private func sparsity(_ neurons: Choice, _ heads: Choice) -> SelectionMethod {
        .thresholds(neurons: thresholds(candidates.neurons, neurons), heads: thresholds(candidates.heads, heads))
    }

    private func file(_ choice: (Choice, Choice)) -> PredictorFile {
        func used<C>(_ candidates: [Candidate<C>?], _ choice: Choice) -> [C?] {
            candidates.indices.map { choice[$0] == nil ? nil : candidates[$0]?.chooser }
        }
        return PredictorFile(
            neurons: used(candidates.neurons, choice.0), heads: used(candidates.heads, choice.1),
            neuronThresholds: thresholds(candidates.neurons, choice.0).map { $0 ?? 0 },
            headThresholds: thresholds(candidates.heads, choice.1).map { $0 ?? 0 },
            group: training.options.group, lookahead: training.options.lookahead)
    }

    private func thresholds<C>(_ candidates: [Candidate<C>?], _ choice: Choice) -> [Float?] {
        zip(candidates, choice).map { candidate, k in k.flatMap { candidate?.curve.threshold($0) } }
    }

    private func report<C>(_ candidates: [Candidate<C>?], _ choice: Choice, rank: (C) -> Int) -> [PredictorReport?] {
        candidates.indices.map { layer in
            guard let candidate = candidates[layer], let k = choice[layer] else { return nil }
            let curve = candidate.curve
            return PredictorReport(
                rank: rank(candidate.chooser), threshold: curve.threshold(k), recall: curve.recall[k],
                precision: curve.precision[k], kept: curve.kept[k], bytes: candidate.bytes,
                predictorBytes: candidate.cost)
        }
    }
}
