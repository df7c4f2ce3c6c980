// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinyRuntime
import TinyTraining

/// Shows on standard error how a training goes on: every finished step as a line, the rest as one that overwrites itself.
final class TrainingDisplay {
    private let layers: Int
    private var line = Console.Progress()
    /// When the predictors were begun, and the share of them that is done.
    private let start = ContinuousClock.now
    private var share = 0.0

    init(layers: Int) { self.layers = layers }

    func clear() { line.clear() }

    func show(_ event: TrainingEvent) {
        switch event {
        case .progress(let share): self.share = share
        case .reading(let some, let done, let count):
            let what =
                some.count == 1 ? "layer \(some.lowerBound + 1)" : "layers \(some.lowerBound + 1)-\(some.upperBound)"
            line.show("capturing \(what) of \(layers): chunk \(done)/\(count)\(progress)")
        case .resumed(let count): note("resuming: \(count) predictors are already trained")
        case .epoch(let layer, let heads, let epoch, let count, let score):
            let text =
                "layer \(layer + 1) of \(layers) \(heads ? "heads  " : "neurons") epoch \(epoch)/\(count): "
                + "loss \(fixed(score.loss, 4)), recall \(fixed(100 * score.recall, 1)) %, "
                + "precision \(fixed(100 * score.precision, 1)) %, kept \(fixed(100 * score.kept, 1)) %\(progress)"
            if epoch == 0 || epoch == count { note(text) } else { line.show(text) }
        case .screening(let step, let done, let count): line.show("logit screen: \(step.rawValue) \(done)/\(count)")
        case .calibrating(let step, let count, let quality):
            guard let quality else { return line.show("calibrating") }
            note(
                "calibrating \(step)/\(count): perplexity \(signed(100 * quality.perplexityIncrease)) % "
                    + "(+- \(fixed(100 * quality.lossIncreaseError, 2))), "
                    + "neurons kept \(fixed(100 * quality.activity.neuronShare, 1)) %, "
                    + "heads kept \(fixed(100 * quality.activity.headShare, 1)) %")
        }
    }

    private func note(_ text: String) {
        line.clear()
        Console.note(text)
    }

    /// `; 27 % of the predictors, 12 min left`: what is left takes as long as what is done has.
    private var progress: String {
        guard share > 0 else { return "" }
        let left = seconds(since: start) * (1 - share) / share
        let time =
            left < 90
            ? "\(fixed(left, 0)) s" : left < 5400 ? "\(fixed(left / 60, 0)) min" : "\(fixed(left / 3600, 1)) h"
        return "; \(fixed(100 * share, 0)) % of the predictors\(share < 1 ? ", \(time) left" : "")"
    }
}
