// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The predictors that a native file holds: docs/NUMERICS.md, 10. Empty lists stand for none.
package struct PredictorConfig: Sendable, Equatable {
    /// What predictors read of a layer, quantized: what attention or the MLP reads, after its norm or before it.
    package enum Input: String, Sendable {
        case attentionNorm = "attn_norm"
        case mlpNorm = "ffn_norm"
        case attentionResidual = "attn_residual"
        case mlpResidual = "ffn_residual"
    }

    /// Rank of each layer's predictor of neurons; 0 where there is none.
    package var neuronRanks: [Int] = []
    /// Rank of each layer's predictor of heads; 0 where there is none.
    package var headRanks: [Int] = []
    /// How many neighboring neurons share a score, and are computed or skipped together.
    package var neuronGroup = 1
    /// Layers whose neurons are chosen by their own gate instead of by a predictor; empty for none.
    package var gates: [Bool] = []
    /// A neuron with a score at least this high is active; one per layer.
    package var neuronThresholds: [Float] = []
    /// A head with a score at least this high is active; one per layer.
    package var headThresholds: [Float] = []
    /// What neurons are predicted from. What attention reads is known before it runs.
    package var neuronInput = Input.mlpNorm
    /// What heads are predicted from, of the layer before.
    package var headInput = Input.mlpNorm
    /// Whether the predictors of neurons have a ReLU between their matrices.
    package var neuronRelu = false
    /// The screen of the output matrix; nil where there is none.
    package var screen: LMHeadScreenConfig?

    package static let largestRank = 4096

    package init() {}

    /// Whether there are no predictors; there may still be a screen.
    package var isEmpty: Bool { neuronRanks.isEmpty && headRanks.isEmpty }

    /// Whether programs that know only native format 1 would compute something else.
    var isExtended: Bool {
        neuronRelu || headInput != .mlpNorm || (neuronInput != .mlpNorm && neuronInput != .attentionNorm)
    }

    /// Whether a layer's heads are predicted.
    func hasHeads(_ layer: Int) -> Bool { !headRanks.isEmpty && headRanks[layer] > 0 }
    package func isGateChosen(_ layer: Int) -> Bool { !gates.isEmpty && gates[layer] }
}
