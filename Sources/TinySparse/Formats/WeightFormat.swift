// SPDX-License-Identifier: Apache-2.0

import TinySupport

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

/// Which matrices of a native file have 4-bit weights. If the head is tied, LM head and embedding are one.
package struct FourBitRoles: Sendable, Equatable {
    /// In the order of `TensorRole`.
    package private(set) var roles: [TensorRole] = []

    private static let key = "tinysparse.four_bit"
    private static var possible: [TensorRole] { TensorRole.allCases.filter { $0.canBeFourBit } }

    package init() {}

    /// What `format` means for a model of that kind.
    package init(_ format: WeightFormat, _ config: ModelConfig) {
        // A norm of all neurons needs them all.
        let hasSparseMLP = config.activation.isSparse && !config.norms.contains(.mlpSubNorm)
        let skipsNeurons = hasSparseMLP || config.experts != nil
        let readsAllGates =
            hasSparseMLP && config.gated && config.experts == nil && config.predictors.neuronRanks.isEmpty
        roles = Self.possible.filter { role in
            if role == .embeddingIn || role == .embeddingOut, !config.projectsEmbeddings { return false }
            // In full, that is.
            let isRead = !role.isMLP || !skipsNeurons || role == .gate && readsAllGates
            return switch format {
            case .int8: false
            case .w4: isRead && (role.isAttention || role.isMLP)
            case .w4all: isRead
            }
        }
    }

    package var isEmpty: Bool { roles.isEmpty }

    package func contains(_ role: TensorRole) -> Bool { roles.contains(role) }

    func write(to writer: inout GGUFWriter) {
        guard !isEmpty else { return }
        writer.add(Self.key, of: roles)
    }

    /// Reads what a native file says; empty if it says nothing.
    /// - Throws: `FormatError` naming the key.
    init(_ gguf: GGUF) throws(FormatError) {
        guard let entry = gguf.entry(Self.key) else { return }
        roles = try TensorRole.list(entry, in: gguf, of: Self.possible)
    }
}
