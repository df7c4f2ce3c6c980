// SPDX-License-Identifier: Apache-2.0

/// What a layer got and made of a block of tokens, for observers. Valid during the call only.
package struct LayerState {
    /// -1 after the embedding, where only `tokens` and `hidden` are defined.
    package let layer: Int
    package let tokens: Int
    /// The quantized norms before attention and MLP.
    package let attentionInput, mlpInput: Activations
    /// `[tokens, dQuery]` outputs of the heads.
    package let heads: UnsafePointer<Float>
    /// `[tokens, dFF]` activations of the neurons; defined when the layer ran dense.
    package let neurons: UnsafePointer<Float>
    /// `[tokens, dFF]` activated gates of a gated MLP, likewise.
    package let gates: UnsafePointer<Float>
    /// `[tokens, dModel]` residual stream after the layer.
    package let hidden: UnsafeBufferPointer<Float>
}

/// How much a session computed of what there was.
package struct Activity: Sendable {
    package var neurons = 0
    package var allNeurons = 0
    package var heads = 0
    package var allHeads = 0

    package init(neurons: Int = 0, allNeurons: Int = 0, heads: Int = 0, allHeads: Int = 0) {
        self.neurons = neurons
        self.allNeurons = allNeurons
        self.heads = heads
        self.allHeads = allHeads
    }

    /// Share of the neurons that were computed.
    package var neuronShare: Double { allNeurons == 0 ? 1 : Double(neurons) / Double(allNeurons) }
    /// Share of the heads that were computed.
    package var headShare: Double { allHeads == 0 ? 1 : Double(heads) / Double(allHeads) }

    package static func - (a: Activity, b: Activity) -> Activity {
        Activity(
            neurons: a.neurons - b.neurons, allNeurons: a.allNeurons - b.allNeurons, heads: a.heads - b.heads,
            allHeads: a.allHeads - b.allHeads)
    }
}
