// SPDX-License-Identifier: Apache-2.0

/// How a conversion stores the weights of matrices.
public enum WeightFormat: String, Sendable, CaseIterable {
    /// One byte for each weight and one scale for each output.
    case int8
    /// 4 bits for each weight and a pair of float16 for every 32 of them. The embedding and the LM head stay int8:
    /// 4 bits would cost the most there. So do the MLP's matrices of models with a sparse activation or with experts,
    /// which skip neurons: sixteen rows of 4-bit weights form a block, and a single row cannot be read without the other fifteen.
    /// (Gates whose zeros tell which neurons to skip are read in full, and have 4 bits.)
    case w4
    /// The same, and the embedding and the LM head as well: the smallest, at a cost in quality.
    case w4all = "w4-all"
}

extension PackedRoles {
    /// Which matrices have 4 bits in that format, of a model of that kind. Ternary ones are smaller already.
    package init(_ format: WeightFormat, _ config: ModelConfig) {
        let readsAllGates =
            config.skipsZeros && config.gated && config.experts == nil && config.predictors.neuronRanks.isEmpty
        self.init(.fourBit) { role in
            if config.ternary.contains(role) { return false }
            if role == .embeddingIn || role == .embeddingOut, !config.projectsEmbeddings { return false }
            // In full, that is.
            let isRead = !role.isMLP || !config.skipsNeurons || role == .gate && readsAllGates
            return switch format {
            case .int8: false
            case .w4: isRead && (role.isAttention || role.isMLP)
            case .w4all: isRead
            }
        }
    }
}

extension ModelConfig {
    /// Whether neurons whose activations are zero are skipped. A norm of all neurons needs them all.
    fileprivate var skipsZeros: Bool { activation.isSparse && !norms.contains(.mlpSubNorm) }

    /// Whether tokens need some neurons only, whose columns of `down` then have to be in one place.
    package var skipsNeurons: Bool { skipsZeros || experts != nil }
}
