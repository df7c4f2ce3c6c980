import Quant
import TinyFormats
import TinyRuntime
import TinySupport

/// A native file with other predictors: everything else is copied as it is.
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
        config.lookahead = lookahead
        return config
    }

    /// Writes the file, which appears when it is complete.
    /// - Throws: `FormatError`.
    func write(_ model: NativeModelFile, to path: String) throws {
        let layout = try layout(model)
        let file = try AtomicFile(path: path)
        try write(model, layout, into: file)
        try file.setSize(layout.size)
        try file.commit()
    }

    /// The same in memory.
    func image(_ model: NativeModelFile) throws -> MappedFile {
        let layout = try layout(model)
        let image = try MappedFile(memoryNamed: model.path, size: layout.size)
        try write(model, layout, into: MemorySink(memory: image.writable))
        image.seal()
        return image
    }

    private func parts(_ model: NativeModelFile) -> [NativePart] {
        var config = model.config
        config.predictors = self.config
        return config.nativeParts
    }

    private func layout(_ model: NativeModelFile) throws -> GGUFLayout {
        var writer = GGUFWriter(alignment: Matrix.alignment)
        var config = model.config
        config.predictors = self.config
        config.write(to: &writer)
        let own: Set = ["general.architecture", "general.name", "general.alignment"]
        for entry in model.gguf.entries where !own.contains(entry.key) && !entry.key.hasPrefix("tinysparse.") {
            writer.copy(entry, from: model.gguf.file)
        }
        let tensors = parts(model).flatMap(\.tensors)
        writer.addChecksums(NativeModelFile.checksumsKey, count: tensors.count)
        for tensor in tensors { writer.addTensor(tensor.name, tensor.format, dimensions: tensor.dimensions) }
        return writer.finish()
    }

    /// The bytes of an output matrix, or of its scales, that the model has the other way round: with predicted heads it
    /// lies by head, without by output.
    private func turnedOutput(_ tensor: String, _ model: NativeModelFile) throws -> AlignedBuffer<Int8>? {
        let names = [NativePart.outputByHead, "attn_output"]
        guard let dot = tensor.lastIndex(of: "."), let own = names.first(where: { tensor[..<dot].hasSuffix("." + $0) })
        else { return nil }
        let kind = String(tensor[dot...])
        let other = tensor[..<dot].dropLast(own.count) + names.first { $0 != own }!
        guard kind == ".weight" else {
            guard let scales = model.gguf.tensor(other + kind).map(model.gguf.bytes) else { return nil }
            let copy = try AlignedBuffer<Int8>(scales.count)
            UnsafeMutableRawPointer(copy.pointer).copyMemory(from: scales.baseAddress!, byteCount: scales.count)
            return copy
        }
        let matrix = try model.matrix(String(other))
        let stride = Matrix.stride(forColumns: matrix.rows)
        let turned = try AlignedBuffer<Int8>(matrix.cols * stride)
        for r in 0..<matrix.rows {
            for c in 0..<matrix.cols { turned.pointer[c * stride + r] = matrix.weights[r * matrix.stride + c] }
        }
        return turned
    }

    private func write(_ model: NativeModelFile, _ layout: GGUFLayout, into sink: some ByteSink) throws {
        var new: [String: UnsafeRawBufferPointer] = [:]
        for (layer, pair) in zip(neurons, heads).enumerated() {
            let prefix = "blk.\(layer)."
            for (name, bytes) in pair.0?.tensors ?? [] { new[prefix + name] = bytes }
            for (suffix, bytes) in pair.1?.tensors ?? [] { new[prefix + "attn_predictor" + suffix] = bytes }
        }
        for tensor in screen?.tensors ?? [] { new[tensor.name] = tensor.bytes }
        var layout = layout
        for (index, tensor) in parts(model).flatMap(\.tensors).enumerated() {
            let copied = new[tensor.name] ?? model.gguf.tensor(tensor.name).map(model.gguf.bytes)
            let turned = copied == nil ? try turnedOutput(tensor.name, model) : nil
            guard let bytes = copied ?? turned.map({ UnsafeRawBufferPointer(start: $0.pointer, count: $0.count) }) else {
                throw FormatError(.missing, path: model.path, item: tensor.name, "the tensor is missing")
            }
            defer { withExtendedLifetime(turned) {} }
            precondition(bytes.count == layout.tensors[index].count, "\(tensor.name) does not fit its shape")
            layout.set(checksum: xxHash64(bytes), ofTensor: index)
            try sink.write(bytes, at: layout.tensors[index].lowerBound)
        }
        try layout.header.withUnsafeBytes { try sink.write($0, at: 0) }
        withExtendedLifetime((neurons, heads, screen)) {}
    }
}
