// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinyRuntime
import TinySupport

/// A native file with new predictors: everything else is copied unchanged.
struct PredictorFile {
    /// By layer; nil stands for a layer that runs dense.
    var neurons: [NeuronChooser?]
    var heads: [QuantizedPredictor?]
    var neuronThresholds: [Float]
    var headThresholds: [Float]
    var group: Int
    var lookahead: Bool
    var screen: TrainedScreen?
    /// What a model has already and keeps, its tensors with it; nil for only what is above.
    var kept: PredictorConfig?

    var config: PredictorConfig {
        if var kept {
            kept.screen = screen?.config ?? kept.screen
            return kept
        }
        var config = PredictorConfig()
        config.screen = screen?.config
        config.neuronRanks = neurons.map { $0?.rank ?? 0 }
        config.gates = neurons.map { $0?.isGate ?? false }
        config.headRanks = heads.map { $0?.rank ?? 0 }
        config.neuronThresholds = neuronThresholds
        config.headThresholds = headThresholds
        config.neuronGroup = group
        config.neuronInput = lookahead ? .attentionNorm : .mlpNorm
        return config
    }

    /// Writes the file, which appears when it is complete.
    /// - Throws: `FormatError`.
    func write(_ model: NativeModelFile, to path: String) throws(FormatError) {
        let file = try AtomicFile(path: path)
        try write(model, into: file)
        try file.commit()
    }

    /// The same in memory.
    func image(_ model: NativeModelFile) throws(FormatError) -> MappedFile {
        let memory = MemorySink(name: model.path)
        try write(model, into: memory)
        return memory.sealed()
    }

    private func write(_ model: NativeModelFile, into sink: some ByteSink) throws(FormatError) {
        var config = model.config
        config.predictors = self.config
        var writer = try NativeModelWriter(config, into: sink) { metadata in
            let own: Set = ["general.architecture", "general.name", "general.alignment"]
            for entry in model.gguf.entries where !own.contains(entry.key) {
                let isOfConfig =
                    entry.key.hasPrefix("tinysparse.") && !entry.key.hasPrefix(NativeModelFile.tokenizerKeys)
                if !isOfConfig { metadata.copy(entry, from: model.gguf.file) }
            }
        }
        for spec in writer.specs {
            if let tensors = trained(spec.id) {
                for bytes in tensors { try writer.write(bytes) }
            } else if let transposed = try transposedOutput(spec, model) {
                try writer.write(raw(transposed.weights))
                try writer.write(transposed.scales)
            } else {
                for tensor in spec.tensors {
                    guard let found = model.gguf.tensor(tensor.name) else {
                        throw FormatError(.missing, path: model.path, item: tensor.name, "the tensor is missing")
                    }
                    try writer.write(model.gguf.bytes(of: found))
                }
            }
        }
        try writer.finish()
    }

    /// The file's tensors of what is new; nil for what the model has.
    private func trained(_ id: TensorID) -> [UnsafeRawBufferPointer]? {
        let predictor: QuantizedPredictor?
        switch id.role {
        case .neuronReduce, .neuronExpand:
            guard !neurons.isEmpty, case .predictor(let own)? = neurons[id.layer!] else { return nil }
            predictor = own
        case .gateGain:
            guard !neurons.isEmpty, case .gate(let gain)? = neurons[id.layer!] else { return nil }
            return [raw(gain)]
        case .headReduce, .headExpand: predictor = heads.isEmpty ? nil : heads[id.layer!]
        case .screenReduce, .screenExpand: predictor = screen?.matrices
        default: return nil
        }
        guard let predictor else { return nil }
        if id.isBias { return [predictor.biasTensor] }
        switch id.role {
        case .neuronReduce, .headReduce, .screenReduce: return predictor.reduceTensors
        default: return predictor.expandTensors
        }
    }

    /// A layer's output projection, if the model has it the other way round: with predicted heads it is stored by head,
    /// without by output. nil for other tensors, and if it is stored as it should be.
    private func transposedOutput(
        _ spec: TensorSpec, _ model: NativeModelFile
    ) throws(FormatError) -> (weights: AlignedBuffer<Int8>, scales: UnsafeRawBufferPointer)? {
        guard spec.id.role == .attentionOutput, spec.isMatrix, !spec.isFourBit,
            case .int8(let matrix, let isNeuronMajor) = try model.tensor(spec.id), isNeuronMajor != spec.isNeuronMajor
        else { return nil }
        let stride = Matrix.stride(forColumns: matrix.rows)
        let weights: AlignedBuffer<Int8>
        do throws(RuntimeError) {
            weights = try AlignedBuffer<Int8>(matrix.cols * stride)
        } catch {
            throw FormatError(.system(12), path: model.path, item: spec.id.stem, error.description)
        }
        for r in 0..<matrix.rows {
            for c in 0..<matrix.cols { weights.pointer[c * stride + r] = matrix.weights[r * matrix.stride + c] }
        }
        let outputs = isNeuronMajor ? matrix.cols : matrix.rows
        return (weights, UnsafeRawBufferPointer(start: matrix.scales, count: outputs * MemoryLayout<Float>.stride))
    }
}
