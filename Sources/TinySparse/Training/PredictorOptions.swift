// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinyRuntime

/// How predictors are trained and how much they may cost.
package struct PredictorOptions: Sendable {
    package enum Neurons: Sendable {
        case predictors
        /// By their own gates, computed for all: for gated models, see `GateStudy`.
        case gates
    }

    /// What chooses neurons; nil: gates if the model has some that are not ReLU, and predictors otherwise.
    package var neurons: Neurons?
    /// Rank of the predictors of neurons; 0 trains none.
    package var rank = 32
    /// Neighboring neurons that share a score: more make prediction cheaper and coarser, and suit a model that was
    /// trained for them.
    package var group = 1
    /// Rank of the predictors of heads, at most as many as there are heads; 0 trains none.
    package var headRank = 16
    /// Rank of the screen of the output matrix; 0 trains none, nil chooses by the model's size. With a screen and no
    /// rank for anything else, the model's own predictors stay.
    package var screenRank: Int?
    /// Predict neurons from the norm before attention, so that they are known before it runs.
    package var lookahead = false
    /// Tokens to learn from.
    package var tokens = 50_000
    package var epochs = 6
    /// How much perplexity may grow: 0.01 is one per cent.
    package var budget = 0.01
    /// The part of it that skipped heads may take.
    package var headBudget = 0.5
    /// Least share of the firing neurons of a ReLU layer that has to be found, and of the heads that add at least the
    /// median share of what their token's heads do.
    package var recall = 0.95
    /// Of layers without ReLU, the share of the neurons that counts as active in training.
    package var topShare = 0.25
    /// Leave a layer dense whose predictor would read more than it saves.
    package var mustPay = true
    package var seed: UInt64 = 1
    /// Bytes that captured layers, and the sessions of the calibration, may take each; at least one layer is captured at a
    /// time. nil: a third of what is free at the time, at most 2 GiB. Never changes a result.
    package var memory: Int?
    package var context = 512
    package var session = Session.Options()

    package init() {}
}

/// Something worth telling while predictors are trained.
package enum TrainingEvent: Sendable {
    /// The share of the reading and training of predictors that is done; the next event says what is being done.
    case progress(Double)
    case reading(layers: Range<Int>, done: Int, of: Int)
    /// Epoch 0 is the closed form.
    case epoch(layer: Int, heads: Bool, Int, of: Int, PredictorScore)
    case resumed(predictors: Int)
    case calibrating(step: Int, of: Int, Quality?)
    case screening(ScreenStep, done: Int, of: Int)
}

/// Where the training of a screen is.
package enum ScreenStep: String, Sendable { case reading, solving, measuring, checking }

extension PredictorOptions {
    /// Bytes to work with.
    var workingMemory: Int { memory ?? min(max(freeMemory() / 3, 640 << 20), 2 << 30) }
}
