// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What a tensor of a model is for. The raw value is its name in native files, and in GGUF files of source checkpoints.
///
/// The order of the cases is the order of the tensors in a native file, layer by layer. What loading, converting, writing
/// and checking have to know of a tensor stands here and in `TensorSpec`, once.
package enum TensorRole: String, CaseIterable, Sendable {
    case tokenEmbedding = "token_embd"
    case positions = "position_embd"
    /// From embeddings to a residual stream of another width, and back to what the LM head multiplies.
    case embeddingIn = "token_embd_in"
    case embeddingOut = "output_in"

    case attentionNorm = "attn_norm"
    case query = "attn_q"
    case key = "attn_k"
    case value = "attn_v"
    case queryNorm = "attn_q_norm"
    case keyNorm = "attn_k_norm"
    /// The norm of the heads' outputs, before `attentionOutput`.
    case attentionSubNorm = "attn_sub_norm"
    case attentionOutput = "attn_output"
    /// The norm of what attention adds to the residual stream, or of the sum.
    case attentionPostNorm = "post_attention_norm"
    case mlpNorm = "ffn_norm"
    /// What scores the experts of a mixture, and what gates the shared one: floats.
    case router = "ffn_router"
    case sharedGate = "ffn_shared_gate"
    case up = "ffn_up"
    case gate = "ffn_gate"
    /// The norm of the activated neurons, before `down`.
    case mlpSubNorm = "ffn_sub_norm"
    case down = "ffn_down"
    /// The norm of what the MLP adds to the residual stream, or of the sum.
    case mlpPostNorm = "post_ffw_norm"
    /// The two matrices of a layer's predictor of neurons, or of groups of them.
    case neuronReduce = "ffn_predictor_a"
    case neuronExpand = "ffn_predictor_b"
    /// How much of the residual stream a gate of 1 usually adds, for each neuron.
    case gateGain = "ffn_gate_reach"
    /// The two matrices of a layer's predictor of heads.
    case headReduce = "attn_predictor_a"
    case headExpand = "attn_predictor_b"

    case outputNorm = "output_norm"
    case lmHead = "output"
    /// The two matrices of the low-rank screen of the LM head.
    case screenReduce = "output_screen_a"
    case screenExpand = "output_screen_b"
}

extension TensorRole {
    /// Whether each layer has a tensor of this role.
    package var isOfLayer: Bool {
        switch self {
        case .tokenEmbedding, .positions, .embeddingIn, .embeddingOut, .outputNorm, .lmHead, .screenReduce,
            .screenExpand:
            false
        default: true
        }
    }

    package var isNorm: Bool {
        switch self {
        case .attentionNorm, .queryNorm, .keyNorm, .attentionSubNorm, .attentionPostNorm, .mlpNorm, .mlpSubNorm,
            .mlpPostNorm, .outputNorm:
            true
        default: false
        }
    }

    /// Whether a source checkpoint has the tensor; the others are trained here.
    package var isOfSource: Bool {
        switch self {
        case .neuronReduce, .neuronExpand, .gateGain, .headReduce, .headExpand, .screenReduce, .screenExpand: false
        default: true
        }
    }

    /// Whether 4-bit weights are possible: all matrices of source checkpoints.
    package var canBeFourBit: Bool {
        isOfSource && !isNorm && self != .positions && self != .router && self != .sharedGate
    }

    /// Whether ternary weights are possible: the matrices of layers.
    package var canBeTernary: Bool { isAttention || isMLP }

    /// The matrices of attention.
    package var isAttention: Bool {
        switch self {
        case .query, .key, .value, .attentionOutput: true
        default: false
        }
    }

    /// The matrices of the MLP.
    package var isMLP: Bool { self == .up || self == .gate || self == .down }

    /// Whether rows are pairs of rotary positions, whose order differs between formats.
    package var hasRotaryRows: Bool { self == .query || self == .key }

    /// The norm whose output the matrix multiplies: an error in a column counts as much as the norm's weight is large.
    /// nil where the input comes from elsewhere.
    package var inputNorm: TensorRole? {
        switch self {
        case .query, .key, .value: .attentionNorm
        case .attentionOutput: .attentionSubNorm
        case .up, .gate: .mlpNorm
        case .down: .mlpSubNorm
        case .tokenEmbedding, .lmHead: .outputNorm
        default: nil
        }
    }
}

// Roles in metadata: the list of their names.

extension TensorRole {
    /// Reads a list of roles.
    /// - Parameter possible: what may be in it, in the order of the cases.
    /// - Throws: `FormatError` naming the key for anything else, or another order.
    static func list(
        _ entry: GGUFEntry, in gguf: GGUF, of possible: [TensorRole]
    ) throws(FormatError) -> [TensorRole] {
        let names = try entry.byteStrings(in: gguf.file).map { String(decoding: $0, as: UTF8.self) }
        let roles = possible.filter { names.contains($0.rawValue) }
        guard roles.map({ $0.rawValue }) == names else {
            throw FormatError(
                .unsupported, path: gguf.path, item: entry.key,
                "lists a tensor that it cannot apply to; convert the original model again")
        }
        return roles
    }
}

extension GGUFWriter {
    /// Adds a list of roles, which `TensorRole.list` reads.
    mutating func add(_ key: String, of roles: [TensorRole]) { add(key, roles.map { Array($0.rawValue.utf8) }) }
}

/// One tensor of a model, or its bias.
package struct TensorID: Hashable, Sendable {
    package let role: TensorRole
    /// nil for tensors that are not part of a layer.
    package let layer: Int?
    package let isBias: Bool

    package init(_ role: TensorRole, _ layer: Int? = nil, isBias: Bool = false) {
        self.role = role
        self.layer = layer
        self.isBias = isBias
    }

    package var bias: TensorID { TensorID(role, layer, isBias: true) }

    /// Another tensor of the same layer, or of the model.
    package func sibling(_ other: TensorRole) -> TensorID { TensorID(other, other.isOfLayer ? layer : nil) }

    /// `blk.3.attn_q`: what native files and GGUF checkpoints call it, without `.weight` or `.bias`.
    package var stem: String { (layer.map { "blk.\($0)." } ?? "") + role.rawValue }

    /// `blk.3.attn_q.weight`, `blk.3.attn_q.bias`: the same in full.
    package var name: String { role == .gateGain ? stem : stem + (isBias ? ".bias" : ".weight") }
}
