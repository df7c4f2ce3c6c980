// SPDX-License-Identifier: Apache-2.0

import TinyFormats

/// Constant factors of an architecture. They are multiplied into weights at conversion, so that they cost nothing at run
/// time.
struct FoldedScales: Equatable {
    /// Of embeddings.
    var embedding: Float = 1
    /// Of what attention, and the MLP, adds to the residual stream.
    var residual: Float = 1
    /// Of attention's scores, on top of 1 / √headDim.
    var attention: Float = 1
    /// Whether attention's scores are divided by the number of the layer, counted from 1.
    var dividesAttentionByLayer = false
    /// Of the logits.
    var logits: Float = 1

    /// What a tensor and its bias are multiplied by.
    func factor(_ id: TensorID, _ config: ModelConfig) -> Float {
        let attention = dividesAttentionByLayer ? attention / Float((id.layer ?? 0) + 1) : attention
        return switch id.role {
        case .tokenEmbedding: embedding
        case .query: config.norms.contains(.queryNorm) ? 1 : attention
        case .queryNorm: attention
        case .attentionOutput, .down: residual
        // A tied LM head is the embedding, whose factor has to be taken off again.
        case .outputNorm: config.tiedHead ? logits / embedding : logits
        default: 1
        }
    }
}
