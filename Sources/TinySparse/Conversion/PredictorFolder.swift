// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinySupport
import TinyTokenizer

/// Predictors that were trained elsewhere, in a folder: `predictors.json` says what they read, `predictors.safetensors` has
/// their matrices under the names `layers.N.neurons.a.weight` [r, d], `layers.N.neurons.b.weight` [n, r] and, if there is
/// one, `layers.N.neurons.b.bias` [n]; `heads` likewise. Layers without are dense. `Examples/Predictors` makes such folders.
struct PredictorFolder {
    /// The file with the matrices.
    let tensors: Safetensors
    private let neurons, heads: Form?

    /// What `predictors.json` says of the predictors of neurons, or of heads.
    private struct Form {
        let input: PredictorConfig.Input
        let hasRelu: Bool
        /// One for all layers, or one for each.
        let thresholds: [Float]
    }

    /// The tensors of the native file.
    static let slots: [TensorRole: TensorMap.Slot] = [
        .neuronReduce: "layers.#.neurons.a", .neuronExpand: "layers.#.neurons.b",
        .headReduce: "layers.#.heads.a", .headExpand: "layers.#.heads.b",
    ]

    /// Opens the folder at `path`.
    /// - Throws: `FormatError` naming the file and the field.
    init(path: String) throws(FormatError) {
        tensors = try Safetensors(path: path + "/predictors.safetensors")
        let fields = try ConfigFields(path: path + "/predictors.json")
        try Self.requireKnown(fields, ["neurons", "heads"])
        neurons = try fields.object("neurons").map { object throws(FormatError) in try Self.form(object) }
        heads = try fields.object("heads").map { object throws(FormatError) in try Self.form(object) }
        guard heads?.hasRelu != true else {
            throw fields.unsupported("heads.relu", "predictors of heads with a ReLU between are not supported")
        }
    }

    private static func form(_ fields: ConfigFields) throws(FormatError) -> Form {
        try requireKnown(fields, ["input", "relu", "threshold"])
        let name = try fields.string("input")
        guard let input = PredictorConfig.Input(rawValue: name) else {
            throw fields.unsupported(
                "input", "\"\(printable(name))\" is not known; attn_norm, ffn_norm, attn_residual and ffn_residual are")
        }
        let value = fields.value("threshold")
        let numbers = value?.array?.map { $0.double } ?? [value?.double]
        let thresholds = numbers.compactMap { $0.map { Float($0) } }
        guard !numbers.isEmpty, thresholds.count == numbers.count, thresholds.allSatisfy({ $0.isFinite }) else {
            throw fields.malformed("threshold", "a finite number, or a list with one for each layer")
        }
        return Form(input: input, hasRelu: try fields.bool("relu"), thresholds: thresholds)
    }

    private static func requireKnown(_ fields: ConfigFields, _ known: [String]) throws(FormatError) {
        guard let members = fields.json.object else {
            throw FormatError(.malformed, path: fields.path, "is not a JSON object")
        }
        for (key, _) in members where !known.contains(key) {
            throw fields.unsupported(key, "the field is not known; these are: " + known.joined(separator: ", "))
        }
    }

    /// What the native file of a model with these predictors says of them. Whether the matrices fit shows when they are
    /// looked for.
    /// - Throws: `FormatError` naming the tensor or the field.
    func config(for model: ModelConfig) throws(FormatError) -> PredictorConfig {
        guard model.predictors.isEmpty else {
            throw error(.unsupported, "the model has predictors of its own; convert it without these")
        }
        var predictors = PredictorConfig()
        (predictors.neuronRanks, predictors.neuronThresholds) = try layers("neurons", neurons, model)
        (predictors.headRanks, predictors.headThresholds) = try layers("heads", heads, model)
        guard predictors.headRanks[0] == 0 else {
            throw error(
                .unsupported, item: "layers.0.heads.a.weight",
                "heads are predicted from the layer before, and the first layer has none; leave its predictor out")
        }
        try requireNoOthers(model)
        predictors.neuronInput = neurons?.input ?? .mlpNorm
        predictors.headInput = heads?.input ?? .mlpNorm
        predictors.neuronRelu = neurons?.hasRelu ?? false
        return predictors
    }

    /// The rank and the threshold of each layer.
    private func layers(
        _ kind: String, _ form: Form?, _ model: ModelConfig
    ) throws(FormatError) -> (ranks: [Int], thresholds: [Float]) {
        let count = model.nLayers
        let ranks = try (0..<count).map { layer throws(FormatError) in try rank(kind, layer) }
        guard let form else {
            guard let layer = ranks.firstIndex(where: { $0 > 0 }) else {
                return (ranks, .init(repeating: 0, count: count))
            }
            throw error(
                .missing, item: "layers.\(layer).\(kind).a.weight",
                "predictors.json says nothing of predictors of \(kind)")
        }
        guard ranks.contains(where: { $0 > 0 }) else {
            throw error(
                .missing, item: "layers.0.\(kind).a.weight",
                "predictors.json describes predictors of \(kind), but there is none")
        }
        guard form.thresholds.count == 1 || form.thresholds.count == count else {
            throw error(
                .mismatch, item: kind, "has \(form.thresholds.count) thresholds, but the model \(count) layers")
        }
        let isOne = form.thresholds.count == 1
        return (ranks, (0..<count).map { form.thresholds[isOne ? 0 : $0] })
    }

    private func rank(_ kind: String, _ layer: Int) throws(FormatError) -> Int {
        let name = "layers.\(layer).\(kind).a.weight"
        guard let tensor = tensors.tensor(name) else { return 0 }
        guard tensor.shape.count == 2, 1...PredictorConfig.largestRank ~= tensor.shape[0] else {
            throw error(
                .unsupported, item: name,
                "has the shape \(tensor.shape); a predictor has two dimensions and a rank of up to "
                    + "\(PredictorConfig.largestRank)")
        }
        return tensor.shape[0]
    }

    /// Refuses tensors that would not be used.
    private func requireNoOthers(_ model: ModelConfig) throws(FormatError) {
        var known: Set<String> = []
        for layer in 0..<model.nLayers {
            for kind in ["neurons", "heads"] {
                let stem = "layers.\(layer).\(kind)."
                known.formUnion([stem + "a.weight", stem + "b.weight", stem + "b.bias"])
            }
        }
        for tensor in tensors.tensors where !known.contains(tensor.name) {
            throw error(
                .unsupported, item: tensor.name,
                "is no tensor of a predictor of the model's \(model.nLayers) layers; make the folder for this model")
        }
    }

    private func error(_ kind: FormatError.Kind, item: String? = nil, _ message: String) -> FormatError {
        FormatError(kind, path: tensors.file.path, item: item, message)
    }
}

/// A source checkpoint with the predictors of a folder.
final class PredictedSource: ModelSource {
    private let base: any ModelSource
    private let predictors: PredictorFolder
    let config: ModelConfig
    let map: TensorMap

    /// - Throws: `FormatError`, also for models that cannot have predictors.
    init(_ base: any ModelSource, _ predictors: PredictorFolder) throws(FormatError) {
        self.base = base
        self.predictors = predictors
        var config = base.config
        config.predictors = try predictors.config(for: config)
        try config.validate(path: base.path)
        self.config = config
        map = base.map.with(PredictorFolder.slots)
    }

    var path: String { base.path }
    var scales: FoldedScales { base.scales }
    var coding: WeightCoding { base.coding }
    var tensorNames: [String] { base.tensorNames + predictors.tensors.tensors.map { $0.name } }

    func tensor(_ name: String) -> SourceTensor? {
        base.tensor(name) ?? predictors.tensors.tensor(name).map { SourceTensor($0, of: predictors.tensors) }
    }

    func tokenizerSpec() throws(FormatError) -> TokenizerSpec { try base.tokenizerSpec() }
    func writeMetadata(to writer: inout GGUFWriter) throws(FormatError) { try base.writeMetadata(to: &writer) }
}
