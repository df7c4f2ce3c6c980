// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

extension ConfigFields {
    /// What a family does not name like most others, or has other defaults for.
    struct Decoder {
        var width = "hidden_size"
        var layers = "num_hidden_layers"
        var heads = "num_attention_heads"
        /// The width of a head where `head_dim` does not say; nil for the width of the model, divided by the heads.
        var headDim: Int?
        /// Heads for keys and values where `num_key_value_heads` does not say; nil for all heads.
        var kvHeads: Int?
        var mlpWidth = "intermediate_size"
        /// Neurons for each value of the residual stream where `mlpWidth` does not say; nil if it has to.
        var mlpFactor: Int?
        var context: (key: String, standard: Int?) = ("max_position_embeddings", 2048)
        var normKind = ModelConfig.Norm.rms
        var epsilon: (key: String, standard: Double) = ("rms_norm_eps", 1e-6)
        var activation: (key: String, standard: ModelConfig.Activation) = ("hidden_act", .silu)
        var isGated = true
        var isTied = false
        /// nil for learned positions.
        var rope: Rotation? = Rotation()

        /// Defaults of rotary positions.
        struct Rotation {
            var base = 10_000.0
            /// The key of the share of a head that is rotated, and its default; nil where all of it always is.
            var share: (key: String, standard: Double)?
        }
    }

    /// The configuration of a decoder: its sizes and what else most families have.
    /// - Throws: `FormatError` naming the field.
    func decoder(_ architecture: String, _ names: Decoder = Decoder()) throws(FormatError) -> ModelConfig {
        let width = try integer(names.width), heads = try integer(names.heads)
        guard heads > 0, width > 0 else { throw unsupported(names.heads, "\(heads) heads of a width of \(width)") }
        let headDim = try optionalInteger("head_dim") ?? names.headDim ?? width / heads
        var dFF = try optionalInteger(names.mlpWidth)
        if dFF == nil, let factor = names.mlpFactor { dFF = width &* factor }
        guard let dFF else { throw missing(names.mlpWidth) }
        let context =
            if let standard = names.context.standard {
                try integer(names.context.key, default: standard)
            } else { try integer(names.context.key) }
        let positions: ModelConfig.Positions =
            if let rope = names.rope { .rope(try rotation(headDim: headDim, rope)) } else { .learned }
        return ModelConfig(
            architecture: architecture, name: try modelName(), vocabularySize: try integer("vocab_size"),
            dModel: width, nLayers: try integer(names.layers), nHeads: heads,
            nKVHeads: try optionalInteger("num_key_value_heads") ?? names.kvHeads ?? heads, headDim: headDim,
            dFF: dFF, contextLength: context,
            normEpsilon: Float(try double(names.epsilon.key, default: names.epsilon.standard)),
            normKind: names.normKind,
            activation: try activation(names.activation.key, default: names.activation.standard),
            gated: names.isGated, positions: positions,
            tiedHead: try bool("tie_word_embeddings", default: names.isTied))
    }

    /// The matrices that have biases: attention's, the MLP's, or all, as two fields say.
    func biases(
        _ attention: String = "attention_bias", _ mlp: String? = "mlp_bias", gated: Bool = true
    ) throws(FormatError) -> Set<TensorRole> {
        var biases: Set<TensorRole> = []
        if try bool(attention) { biases.formUnion([.query, .key, .value, .attentionOutput]) }
        if let mlp, try bool(mlp) { biases.formUnion(gated ? [.gate, .up, .down] : [.up, .down]) }
        return biases
    }

    /// How many tokens each layer sees, by `layer_types`, or else by a rule.
    /// - Parameters:
    ///   - standard: the window of a file that does not say; nil for none.
    ///   - slides: whether a layer's attention is limited, if there is no list.
    /// - Returns: empty if all layers see all tokens.
    func windows(
        layers: Int, standard: Int?, context: Int, slides: (Int) throws(FormatError) -> Bool
    ) throws(FormatError) -> [Int] {
        let window = json["sliding_window"] == nil ? standard : try optionalInteger("sliding_window")
        let types = value("layer_types")
        guard let window else { return [] }
        guard window > 0 else { throw unsupported("sliding_window", "\(window) is no number of tokens") }
        let windows: [Int] = try ModelConfig.layers(layers).map { layer throws(FormatError) in
            guard let types else { return try slides(layer) ? window : 0 }
            guard let list = types.array, list.count == layers else {
                throw malformed("layer_types", "a list of \(layers) names")
            }
            switch list[layer].string {
            case "full_attention": return 0
            case "sliding_attention": return window
            case let name:
                throw unsupported(
                    "layer_types",
                    "\"\(printable(name ?? "a value"))\" is not supported; full_attention and sliding_attention are")
            }
        }
        return windows.allSatisfy { $0 == 0 || $0 >= context } ? [] : windows
    }
}
