// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime

/// How far the reading of layers and the training of their predictors is, by what both cost: multiplications of floats,
/// about. Time left follows from it, so the parts have to be in proportion.
struct TrainingProgress {
    private let total: Double
    private var done = 0.0

    init(total: Double = 0) { self.total = total }

    var share: Double { total > 0 ? min(done / total, 1) : 0 }

    mutating func add(_ cost: Double) { done += cost }
}

/// What parts of a training cost.
struct TrainingCosts {
    /// Reading a text dense, once for every group of layers.
    let reading: Double
    private let width: Double
    private let tokens: Double
    private let epochs: Double

    /// - Parameter tokens: of the training text.
    init(_ model: Model, _ options: PredictorOptions, tokens: Int) {
        // Products of bytes take about a quarter of the time.
        reading = Double(tokens) * Double(model.multiplyAddsPerPrefillToken) / 4
        width = Double(model.config.dModel)
        self.tokens = Double(tokens)
        epochs = Double(options.epochs)
    }

    /// The start in closed form (`ReducedRank`).
    func start(outputs: Int) -> Double {
        min(tokens, Double(ReducedRank.limit)) * width * (width + Double(outputs)) + 2 * Double(outputs) * width * width
    }

    /// One pass over the tokens (`PredictorTrainer`).
    func epoch(rank: Int, outputs: Int) -> Double { 3 * tokens * Double(rank) * (width + Double(outputs)) }

    func predictor(rank: Int, outputs: Int) -> Double {
        start(outputs: outputs) + epochs * epoch(rank: rank, outputs: outputs)
    }
}
