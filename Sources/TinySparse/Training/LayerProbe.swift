/// What one layer saw and made of a block of tokens, for those who study it. Valid during the call only.
struct LayerProbe {
    let layer: Int
    let tokens: Int
    /// The quantized norms before attention and MLP.
    let attentionInput, mlpInput: Activations
    /// `[tokens, dQuery]` outputs of the heads.
    let heads: UnsafePointer<Float>
    /// `[tokens, dFF]` activations of the neurons; meaningful when the layer ran dense.
    let neurons: UnsafePointer<Float>
    /// `[tokens, dFF]` activated gates of a gated MLP, likewise.
    let gates: UnsafePointer<Float>
    /// `[tokens, dModel]` residual stream after the layer.
    let hidden: UnsafePointer<Float>
}

/// How much a session computed of what there was.
package struct Activity: Sendable {
    package var neurons = 0
    package var allNeurons = 0
    package var heads = 0
    package var allHeads = 0

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
