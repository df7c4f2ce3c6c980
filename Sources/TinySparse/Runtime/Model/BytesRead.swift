// SPDX-License-Identifier: Apache-2.0

import TinyFormats

extension Model {
    /// Weights that a token of decoding reads when so much is computed, predictors included.
    /// - Parameter heads: whether the predictors of heads run, too; nil for no predictors at all.
    package func bytesRead(_ activity: Activity, heads: Bool? = nil) -> Int {
        var mlp = 0, ofHeads = 0, predictors = 0
        // Where neurons are chosen by their gates, all of these are read.
        let isGateRead = heads != nil && config.predictors.gates.contains(true)
        for layer in weights.layers {
            mlp += layer.up.bytes + layer.down.bytes + (isGateRead ? 0 : layer.gate?.bytes ?? 0)
            ofHeads += layer.query.bytes + (layer.output.isNeuronMajor ? layer.output.bytes : 0)
            guard let heads else { continue }
            for predictor in [layer.neuronPredictor, heads ? layer.headPredictor : nil] {
                predictors += predictor?.bytes ?? 0
            }
        }
        let skipped = Double(mlp) * (1 - activity.neuronShare) + Double(ofHeads) * (1 - activity.headShare)
        return bytesPerToken - Int(skipped) + predictors
    }

    /// What the screen of the output matrix saves of that, if it computes all rows for a share of the tokens, and so
    /// many for each of the others.
    package func bytesSavedByScreen(denseShare: Double, rowsPerToken: Double) -> Int {
        guard let screen = weights.screen else { return 0 }
        let rows = denseShare + (1 - denseShare) * rowsPerToken / Double(config.vocabularySize)
        return Int(Double(weights.head.bytes) * (1 - rows)) - screen.bytes
    }

    /// Products of a weight and an activation that each token of prefill takes in the layers: the LM head has one a
    /// prompt, attention's own grow with the context.
    package var multiplyAddsPerPrefillToken: Int {
        weights.layers.reduce(0) { sum, layer in
            let maps = [layer.query, layer.key, layer.value, layer.output, layer.up, layer.gate, layer.down]
            return sum + maps.reduce(0) { $0 + ($1.map { $0.inputs * $0.outputs } ?? 0) }
        }
    }
}
