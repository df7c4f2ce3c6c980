// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinySupport
import TinyTokenizer

/// A source checkpoint with every tensor found and checked, ready to be written as a native file.
struct Converter {
    /// The configuration of the native file.
    private(set) var config: ModelConfig
    /// What is odd about the vocabulary, though it can be used.
    let notes: [String]
    let source: any ModelSource
    private(set) var parts: [Part]

    /// Finds all tensors before anything is written or allocated.
    /// - Parameter readsWeights: whether to look at weights of ternary types, to see whether all of a row have one scale;
    ///   otherwise it is taken for granted.
    /// - Throws: `FormatError` naming the tensor that is missing or does not fit.
    init(
        _ source: any ModelSource, weights: WeightFormat = .int8, readsWeights: Bool = true
    ) throws(FormatError) {
        self.source = source
        config = source.config
        let names = source.tensorNames
        // Cheaper than to list the tensors of a million layers that are not there.
        guard config.nLayers <= names.count else {
            throw FormatError(
                .missing, path: source.path, "there are \(names.count) tensors, too few for \(config.nLayers) layers")
        }
        let spec = try source.tokenizerSpec()
        guard spec.tokens.count <= config.vocabularySize else {
            throw FormatError(
                .mismatch, path: source.path, item: "tokenizer",
                "has \(spec.tokens.count) tokens, but the model only \(config.vocabularySize)")
        }
        notes = spec.notes + Self.notes(spec, name: config.name)
        try Self.requirePlain(names, path: source.path)
        let specs = config.tensorSpecs
        parts = try specs.map { part throws(FormatError) in try Self.part(part, of: source) }
        try Self.checkSize(parts, path: source.path)
        try Self.requireAllUsed(names, parts, source)
        config.ternary = try ternaryRoles(readsWeights: readsWeights)
        config.fourBit = PackedRoles(weights, config)
        for (i, spec) in config.tensorSpecs.enumerated() { parts[i].spec = spec }
    }

    private static func notes(_ vocabulary: TokenizerSpec, name: String) -> [String] {
        var notes: [String] = []
        let texts = vocabulary.tokens.filter { !$0.isEmpty }
        let repeated = texts.count - Set(texts).count
        if repeated > 0 { notes.append("tokens with the text of another: \(repeated); text becomes the last of them") }
        if name.unicodeScalars.contains("\u{FFFD}") {
            notes.append("the model's name is not UTF-8; what is not is replaced")
        }
        return notes
    }

    /// Converts tensor after tensor into `sink`, and the header last. Memory: that of one tensor, before and after.
    /// - Throws: `FormatError`, of the kind `stopped` if `progress` ends it.
    func run(into sink: some ByteSink, progress: ConversionProgress) throws(FormatError) {
        func tell(_ event: ConversionEvent) throws(FormatError) {
            guard progress(event) else { throw FormatError(.stopped, path: source.path, "the conversion was stopped") }
        }
        for note in notes { try tell(.note(note)) }
        var writer = try NativeModelWriter(config, into: sink) { metadata throws(FormatError) in
            metadata.add("general.quantization_version", UInt32(2))
            try source.writeMetadata(to: &metadata)
        }
        for (number, part) in parts.enumerated() {
            try tell(.tensor(part.tensor.name, number: number + 1, of: parts.count))
            switch part.spec.storage {
            case .vector, .table: try writeFloats(part, to: &writer)
            case .int8, .neuronMajor: try writeInt8(part, to: &writer)
            case .fourBit: try writeFourBit(part, to: &writer)
            case .ternary: try writeTernary(part, to: &writer)
            }
            for tensor in [part.tensor] + part.more { tensor.file.adviseUnneeded(tensor.bytes) }
        }
        try writer.finish()
    }

    private func writeFloats(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let count = part.spec.sourceShape.reduce(1, *)
        let values = part.isZero ? [Float](repeating: 0, count: count) : try decoded(part)
        let factor = factor(of: part)
        if let bad = values.firstIndex(where: { !$0.isFinite }) {
            throw part.tensor.error(.notFinite, "value \(bad) is not finite; the model is damaged")
        }
        let order = rowOrder(of: part)
        // Biases are rows of one value.
        var ordered = part.spec.id.isBias ? (0..<part.spec.sourceShape[0]).map { values[order($0)] } : values
        if factor != 1 { for i in ordered.indices { ordered[i] *= factor } }
        try ordered.withUnsafeBufferPointer { ordered throws(FormatError) in
            try writer.write(UnsafeRawBufferPointer(ordered))
        }
    }

    private func writeInt8(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let matrix = try encoded(part)
        let dimensions = part.spec.tensors[0].dimensions
        let (stride, storedRows) = (dimensions[0], dimensions[1])
        let rows = part.spec.sourceShape[0]
        let (weightBytes, scaleBytes) = (
            try scratch(stride * storedRows), try scratch(rows * MemoryLayout<Float>.stride)
        )
        defer { withExtendedLifetime((matrix, weightBytes, scaleBytes)) {} }
        let weights = weightBytes.writable.baseAddress!.assumingMemoryBound(to: Int8.self)
        let scales = scaleBytes.writable.baseAddress!.assumingMemoryBound(to: Float.self)
        let bad =
            part.spec.isNeuronMajor
            ? quantizeTransposed(matrix.rows, weights: weights, stride: stride, scales: scales)
            : quantize(
                matrix.rows, count: rows, sourceRow: matrix.order, weights: weights, stride: stride, scales: scales)
        if let bad { throw notFinite(part.tensor, row: bad) }
        try writer.write(weightBytes.bytes)
        try writer.write(scaleBytes.bytes)
    }

    /// Zeroed memory for a converted tensor.
    /// - Throws: `FormatError` if there is none: the standard library would end the program.
    func scratch(_ size: Int) throws(FormatError) -> MappedFile {
        try MappedFile(memoryNamed: source.path, size: size)
    }

    private func writeFourBit(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let matrix = try encoded(part)
        let blocks = try scratch(part.spec.tensors[0].dimensions.reduce(1, *))
        defer { withExtendedLifetime((matrix, blocks)) {} }
        let bad = quantizeToFourBits(
            matrix.rows, count: part.spec.sourceShape[0], importance: try importance(of: part), sourceRow: matrix.order,
            blocks: blocks.writable.baseAddress!)
        if let bad { throw notFinite(part.tensor, row: bad) }
        try writer.write(blocks.bytes)
    }

    /// How much an error in each column of a matrix matters, `[inputs]`: where the input comes out of a norm, it is about
    /// as large as the norm's weight.
    private func importance(of part: Part) throws(FormatError) -> [Float] {
        let norm = part.spec.id.role.inputNorm.map { part.spec.id.sibling($0) }
        guard let norm = parts.first(where: { $0.spec.id == norm }) else {
            return [Float](repeating: 1, count: part.spec.sourceShape[1])
        }
        return try decoded(norm).map { $0 * $0 }
    }

    func notFinite(_ tensor: SourceTensor, row: Int) -> FormatError {
        let cause = tensor.format == .i2S ? ", or of a version of bitnet.cpp with another layout of I2_S" : ""
        return tensor.error(.notFinite, "row \(row) has a weight that is not finite; the model is damaged" + cause)
    }
}
