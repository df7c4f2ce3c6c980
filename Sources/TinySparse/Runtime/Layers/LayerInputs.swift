// SPDX-License-Identifier: Apache-2.0

import TinyFormats

/// What the halves of a layer read of a block of tokens, quantized, and what its predictors read besides.
///
/// While the heads of a layer are selected, these still are the inputs of the layer before.
package final class LayerInputs {
    /// The norms before attention and MLP, one object if both read the same.
    package let attention, mlp: Activations
    /// The residual stream before the norms; nil if no predictor reads it.
    private let attentionResidual, mlpResidual: Activations?

    /// - Parameter hasSelector: whether predictors may run.
    init(_ config: ModelConfig, capacity: Int, hasSelector: Bool, in memory: SessionMemory) throws(RuntimeError) {
        func activations() throws(RuntimeError) -> Activations {
            try Activations(width: config.dModel, capacity: capacity, in: memory)
        }
        attention = try activations()
        let isShared = config.residual == .parallel && !config.norms.contains(.mlpNorm)
        mlp = isShared ? attention : try activations()
        let predictors = config.predictors
        let read = hasSelector && !predictors.isEmpty ? [predictors.neuronInput, predictors.headInput] : []
        attentionResidual = read.contains(.attentionResidual) ? try activations() : nil
        mlpResidual = read.contains(.mlpResidual) ? try activations() : nil
    }

    /// What a predictor reads.
    func callAsFunction(_ input: PredictorConfig.Input) -> Activations {
        switch input {
        case .attentionNorm: attention
        case .mlpNorm: mlp
        case .attentionResidual: attentionResidual!
        case .mlpResidual: mlpResidual!
        }
    }

    /// Takes what attention reads from the residual stream at `x`, `[tokens, dModel]`.
    func setAttention(_ norm: Weights.Norm?, _ x: UnsafePointer<Float>, _ tokens: Int, _ context: ComputeContext) {
        if let attentionResidual { context.normalize(nil, x, tokens, into: attentionResidual) }
        context.normalize(norm, x, tokens, into: attention)
    }

    /// Takes what the MLP reads, unless it shares attention's input.
    func setMLP(_ norm: Weights.Norm?, _ x: UnsafePointer<Float>, _ tokens: Int, _ context: ComputeContext) {
        if let mlpResidual { context.normalize(nil, x, tokens, into: mlpResidual) }
        if mlp !== attention { context.normalize(norm, x, tokens, into: mlp) }
    }
}
