// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinySupport

/// An architecture in a file of PowerInfer: GGUF that begins with the letters PWRI, with ReLU whatever the model had before,
/// the down projection by neuron, and a predictor of neurons in every layer.
/// Source: SJTU-IPADS/PowerInfer, `llama.cpp` (`llm_build_ffn_sparse`), `convert.py`.
enum PowerInfer<Base: Architecture>: Architecture {
    static var name: String { Base.name }
    static var huggingFaceClass: String { Base.huggingFaceClass }

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        try PowerInferFile.requireModel(fields.gguf)
        var config = try Base.config(fields)
        guard config.experts == nil else {
            throw fields.unsupported("expert_count", "mixtures of experts in PowerInfer's files are not supported")
        }
        config.activation = .relu
        // OPT's table has two rows that stand for no position, which the length of the context counts there.
        if case .learned = config.positions {
            let rows = fields.parts.tensor(TensorID(.positions).name)?.tensor.dimensions.last
            if rows == config.contextLength { config.contextLength -= 2 }
        }
        config.predictors = try PowerInferFile.predictors(fields, layers: config.nLayers)
        return config
    }

    static func ggufTensors(_ config: ModelConfig) -> TensorMap {
        Base.ggufTensors(config).with([
            .down: TensorMap.Slot("blk.#.ffn_down_t", orientation: .inputsFirst),
            .neuronReduce: "blk.#.fc1",
            .neuronExpand: "blk.#.fc2",
        ])
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig { try Base.config(fields) }
    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Base.huggingFaceTensors(config) }
}

/// What PowerInfer's files say alike.
private enum PowerInferFile {
    /// Refuses what is no model, and settings that are not known.
    static func requireModel(_ gguf: GGUF) throws(FormatError) {
        for entry in gguf.entries where entry.key.hasPrefix("powerinfer.") && entry.key != thresholdKey {
            throw FormatError(
                .unsupported, path: gguf.path, item: entry.key,
                "the setting is not known, and may change what the model computes")
        }
    }

    /// The predictors: `fc1` [r, d] and `fc2` [n, r] with a ReLU between; r differs from layer to layer.
    static func predictors(_ fields: GGUFFields, layers: Int) throws(FormatError) -> PredictorConfig {
        let gguf = fields.gguf
        let threshold = Float(try gguf.optionalDouble(thresholdKey) ?? 0)
        guard threshold.isFinite else {
            throw FormatError(.malformed, path: gguf.path, item: thresholdKey, "\(threshold) is not finite")
        }
        var ranks: [Int] = []
        for layer in ModelConfig.layers(layers) {
            let name = "blk.\(layer).fc1.weight"
            guard let (file, tensor) = fields.parts.tensor(name) else {
                throw FormatError(
                    .missing, path: gguf.path, item: name,
                    "the layer's predictor is missing; the file is incomplete, or of another kind than is known")
            }
            guard tensor.dimensions.count == 2, 1...PredictorConfig.largestRank ~= tensor.dimensions[1] else {
                throw FormatError(
                    .unsupported, path: file.path, item: name,
                    "has the dimensions \(tensor.dimensions); a predictor has two and a rank of up to "
                        + "\(PredictorConfig.largestRank)")
            }
            ranks.append(tensor.dimensions[1])
        }
        var predictors = PredictorConfig()
        predictors.neuronRanks = ranks
        predictors.neuronThresholds = [Float](repeating: threshold, count: ranks.count)
        predictors.headRanks = [Int](repeating: 0, count: ranks.count)
        predictors.headThresholds = [Float](repeating: 0, count: ranks.count)
        // Of Falcon's parallel layers this is the layer's input.
        predictors.neuronInput = .mlpResidual
        predictors.neuronRelu = true
        return predictors
    }

    private static let thresholdKey = "powerinfer.sparse_threshold"
}

/// What can be converted of PowerInfer's files.
let powerInferArchitectures = [
    PowerInfer<Llama>.known, PowerInfer<Falcon>.known,
    PowerInfer<OPT>.known, PowerInfer<Bamboo>.known,
]

extension GGUF {
    /// PowerInfer's files that say which neurons a GPU computes have no architecture.
    /// - Throws: `FormatError` for these.
    func requireNoGPUSplit() throws(FormatError) {
        guard isPowerInfer, let tensor = tensors.first(where: { $0.name.contains(text: ".gpu_") }) else { return }
        throw FormatError(
            .unsupported, path: path, item: tensor.name,
            "the file says which neurons of a model a GPU computes, and is no model; give the model's own file")
    }
}
