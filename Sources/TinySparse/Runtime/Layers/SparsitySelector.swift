// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// Chooses which neurons and heads of each layer a block of tokens computes. `PredictorSelector` follows the predictors of
/// the model; predictor training has others to compare with.
package protocol SparsitySelector: AnyObject {
    /// The heads of a layer.
    /// - Parameter previous: the inputs of the layer before, so that the choice is known before the layer begins;
    ///   undefined in layer 0.
    func heads(_ layer: Int, _ previous: LayerInputs, tokens: Int) -> Selection

    /// The neurons of a layer with these inputs.
    func neurons(_ layer: Int, _ inputs: LayerInputs, tokens: Int) -> Selection

    /// Whether the neurons of a layer are chosen by their gates, which are then computed first: `neurons(_:gates:tokens:)`.
    func usesGates(_ layer: Int) -> Bool

    /// The neurons of a layer that `usesGates`.
    /// - Parameter gates: `[tokens, dFF]`, activated.
    func neurons(_ layer: Int, gates: UnsafePointer<Float>, tokens: Int) -> Selection
}

extension SparsitySelector {
    package func heads(_ layer: Int, _ previous: LayerInputs, tokens: Int) -> Selection { .all }
    package func usesGates(_ layer: Int) -> Bool { false }
    package func neurons(_ layer: Int, gates: UnsafePointer<Float>, tokens: Int) -> Selection { .all }
}

/// Which neurons and heads a session computes.
public enum Sparsity: Sendable {
    /// All of them.
    case off
    /// Those that the model's predictors select. `margin` is added to the scores of neurons: above 0, more of
    /// them are kept. Without `heads`, all heads are. Layers without a predictor are dense.
    case predicted(margin: Float = 0, heads: Bool = true)
    /// Neurons by predictor score, a fixed share of each layer; heads as their predictors select, or all.
    case keep(Double, heads: Bool = true)

    /// Whether decoding may leave neurons or heads out.
    var isOn: Bool { if case .off = self { false } else { true } }

    /// - Throws: `RuntimeError.badOption` for numbers out of range.
    func check() throws(RuntimeError) {
        switch self {
        case .off: break
        case .predicted(let margin, _):
            guard margin.isFinite else { throw .badOption("a predictor margin of \(margin)") }
        case .keep(let share, _):
            guard share >= 0, share <= 1 else { throw .badOption("a share of \(share) neurons is not in 0...1") }
        }
    }
}
