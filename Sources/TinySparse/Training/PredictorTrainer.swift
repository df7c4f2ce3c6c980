// SPDX-License-Identifier: Apache-2.0

import TinyRuntime

/// How a predictor does on tokens it was not trained on.
package struct PredictorScore: Sendable {
    /// Weighted logistic loss for each output.
    package var loss = 0.0
    /// At the trained threshold: found of those active, and active of those found.
    package var recall = 0.0
    package var precision = 0.0
    /// Share of the outputs that were found active.
    package var kept = 0.0
}

/// Trains one predictor by AdamW (Loshchilov and Hutter, 2019) on the weighted logistic loss, Deja Vu's recipe
/// (Liu et al., 2023), from the closed form on.
///
/// Every output is a no of weight 1, and a yes of a weight w: the best score is then ln E[w], so that outputs which are
/// always active have an order, too. An output that is to be active has a w of `positiveWeight`, and up to four times
/// that if it is a large one: a missed neuron costs what it would have added. Where there is no natural yes or no (heads,
/// and neurons without ReLU), w is its energy by the mean, and a threshold the best trade of energy for work. Cost: 3 * rank * (d + n) multiplications a token and epoch.
/// One thread; the same result on every machine for a seed.
struct PredictorTrainer {
    var rank: Int
    var epochs: Int
    var seed: UInt64
    var rate: Float = 2e-3
    var positiveWeight: Float = 2
    var decay: Float = 1e-3
    private let batch = 256

    init(rank: Int, epochs: Int, seed: UInt64) {
        self.rank = rank
        self.epochs = epochs
        self.seed = seed
    }

    /// - Parameter progress: called after the start (epoch 0) and every epoch; returning false ends the training.
    /// - Throws: `RuntimeError.outOfMemory`.
    func train(
        _ data: PredictorData, validation: PredictorData,
        progress: (_ epoch: Int, PredictorScore) -> Bool
    ) throws(RuntimeError) -> PredictorWeights? {
        let start = try ReducedRank(data, rank: rank).solve(positiveWeight: positiveWeight, seed: seed)
        let network = try Network(start, batch: batch)
        let importance = importance(data)
        guard progress(0, try score(network, validation, importance)) else { return nil }
        var random = SplitMix64(state: seed &+ 1)
        var order = Array(0..<data.count)
        let steps = epochs * ((data.count + batch - 1) / batch)
        var step = 0
        for epoch in 0..<epochs {
            order.shuffle(using: &random)
            for first in stride(from: 0, to: order.count, by: batch) {
                let tokens = order[first..<min(first + batch, order.count)]
                network.forward(data, tokens)
                network.backward(data, tokens, importance)
                step += 1
                // A cosine down to nothing.
                let angle = 3.141592653589793 * Double(step) / Double(steps)
                let factor = Float((1 + Double64.sinCos(angle).cos) / 2)
                network.update(rate: rate * factor, decay: decay, step: step)
            }
            guard progress(epoch + 1, try score(network, validation, importance)) else { return nil }
        }
        return network.weights
    }

    /// The weight in the loss of an active output of each level.
    private func importance(_ data: PredictorData) -> [Float] {
        if data.learnsEnergy { return data.energies }
        var sum = 0.0, count = 0.0
        for t in stride(from: 0, to: data.count, by: max(data.count / 1000, 1)) {
            let row = data.levels.pointer + t * data.outputs
            for i in 0..<data.outputs where row[i] >= data.bounds[t] {
                sum += Double(Level.values[Int(row[i])])
                count += 1
            }
        }
        let mean = Float(count > 0 ? sum / count : 1)
        return Level.values.map { positiveWeight * min(0.25 + 0.75 * $0 / max(mean, 1e-12), 4) }
    }

    private func score(
        _ network: Network, _ data: PredictorData, _ importance: [Float]
    ) throws(RuntimeError) -> PredictorScore {
        var loss = 0.0, active = 0, found = 0, hits = 0
        let used = min(data.count, 2048)
        for first in stride(from: 0, to: used, by: batch) {
            let tokens = Array(first..<min(first + batch, used))
            network.forward(data, tokens[...])
            for (i, t) in tokens.enumerated() {
                let levels = data.levels.pointer + t * data.outputs, row = network.scores[i]
                for j in 0..<data.outputs {
                    let isActive = levels[j] >= data.bounds[t], isFound = row[j] >= 0
                    active += isActive ? 1 : 0
                    found += isFound ? 1 : 0
                    hits += isActive && isFound ? 1 : 0
                    if (i & 15) == 0 {
                        let weight = Double(importance[Int(levels[j])])
                        if data.learnsEnergy {
                            loss +=
                                softplus(row[j]) + softplus(-row[j])
                                * min(weight * Double(data.gain[j]), Double(Network.mostEnergy))
                        } else {
                            loss += softplus(row[j]) + (isActive ? softplus(-row[j]) * weight : 0)
                        }
                    }
                }
            }
        }
        let seen = stride(from: 0, to: used, by: batch).reduce(0) { $0 + (min(batch, used - $1) + 15) / 16 }
        let all = Double(max(used * data.outputs, 1))
        return PredictorScore(
            loss: loss / Double(max(seen * data.outputs, 1)), recall: Double(hits) / Double(max(active, 1)),
            precision: Double(hits) / Double(max(found, 1)), kept: Double(found) / all)
    }
}

/// ln(1 + exp(x)).
private func softplus(_ x: Float) -> Double {
    x > 30 ? Double(x) : Double64.ln(1 + Double64.exp(max(Double(x), -600)))
}
