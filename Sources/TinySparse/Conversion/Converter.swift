// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinySupport
import TinyTokenizer

/// A source checkpoint with every tensor found and checked, ready to be written as a native file.
struct Converter {
    /// The configuration of the native file.
    let config: ModelConfig
    /// What is odd about the vocabulary, though it can be used.
    let notes: [String]
    private let source: any ModelSource
    private let parts: [Part]

    /// A tensor of the native file and what it is made of.
    private struct Part {
        let spec: TensorSpec
        let tensor: SourceTensor
        /// Rows of the source before the first that is needed.
        let skippedRows: Int
    }

    /// Finds all tensors before anything is written or allocated.
    /// - Throws: `FormatError` naming the tensor that is missing or does not fit.
    init(_ source: any ModelSource, weights: WeightFormat = .int8) throws(FormatError) {
        self.source = source
        var config = source.config
        config.fourBit = FourBitRoles(weights, config)
        self.config = config
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
        parts = try config.tensorSpecs.map { part throws(FormatError) in try Self.part(part, of: source) }
        try Self.checkSize(parts, path: source.path)
        try Self.requireAllUsed(names, parts, source)
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

    /// Finds the tensor that becomes a native one, and checks it.
    private static func part(_ spec: TensorSpec, of source: any ModelSource) throws(FormatError) -> Part {
        let name = source.map.name(of: spec.id)
        guard let tensor = source.tensor(name) else {
            throw FormatError(
                .missing, path: source.path, item: name,
                "the tensor is missing; the file is incomplete or of another architecture")
        }
        var (shape, skippedRows) = (spec.sourceShape, 0)
        if let slot = source.map.slots[spec.id.role], tensor.shape.first == shape[0] + slot.skippedRows {
            skippedRows = slot.skippedRows
            shape[0] += skippedRows
        }
        guard tensor.shape == shape else {
            throw tensor.error(
                .mismatch, "has the shape \(tensor.shape), but the configuration demands \(shape)")
        }
        guard let format = tensor.format else {
            let supported = BlockFormat.allCases.filter { $0 != .i8 }.map { $0.name }.joined(separator: ", ")
            throw tensor.error(
                .unsupported,
                "its type, \(tensor.typeName), is not supported; supported are \(supported); "
                    + "get another version of the model")
        }
        guard format != .i8, format.byteCount(of: shape[shape.count - 1]) != nil else {
            throw tensor.error(.unsupported, "its type, \(tensor.typeName), does not fit the shape \(shape)")
        }
        return Part(spec: spec, tensor: tensor, skippedRows: skippedRows)
    }

    /// Rows are padded to 64 columns, so a file of absurdly narrow matrices would grow beyond measure. Real models take
    /// less than two bytes per weight.
    private static func checkSize(_ parts: [Part], path: String) throws(FormatError) {
        let weights = parts.reduce(0) { $0 + $1.tensor.shape.reduce(1, *) }
        let after = parts.flatMap { $0.spec.tensors }.reduce(0) {
            $0 + $1.format.byteCount(of: $1.dimensions.reduce(1, *))!
        }
        guard after <= 8 * weights + (1 << 26) else {
            throw FormatError(
                .unsupported, path: path,
                "its matrices are so narrow that \(weights) weights would take \(after) bytes")
        }
    }

    /// Refuses tensors that no part of the model uses: without them it would compute something else than it was trained
    /// to. Tensors that only repeat what is known are fine: such as are derived from settings, and a tied LM head.
    private static func requireAllUsed(_ names: [String], _ parts: [Part], _ source: any ModelSource)
        throws(FormatError)
    {
        let used = Set(parts.map { $0.tensor.name })
        let tiedHead = source.config.tiedHead ? source.map.name(of: TensorID(.lmHead)) : nil
        for name in names.filter({ !used.contains($0) }).sorted() {
            if source.map.derived.contains(where: { name.hasSuffix($0) }) { continue }
            if name == tiedHead {
                try requireSame(name, source.map.name(of: TensorID(.tokenEmbedding)), source)
                continue
            }
            throw FormatError(
                .unsupported, path: source.tensor(name)?.path ?? source.path, item: name,
                "\(source.config.architecture) models have no such tensor, at least not with these settings; "
                    + "the model is of another architecture or has additions that are not supported")
        }
    }

    /// The LM head of a model that ties it to the embedding has to be the same.
    private static func requireSame(_ head: String, _ embedding: String, _ source: any ModelSource) throws(FormatError)
    {
        guard let head = source.tensor(head), let embedding = source.tensor(embedding) else { return }
        guard head.shape == embedding.shape, head.typeName == embedding.typeName,
            head.bytes.elementsEqual(embedding.bytes)
        else {
            throw head.error(
                .mismatch,
                "differs from \(embedding.name), although tie_word_embeddings is true; "
                    + "set it to false to use this tensor")
        }
    }

    /// Refuses weights that are codes of a quantization method, and what is no model but a change to one.
    private static func requirePlain(_ names: [String], path: String) throws(FormatError) {
        let kinds = [
            (["qweight", "qzeros"], "is packed by GPTQ or AWQ"),
            (["weight_packed"], "is packed by compressed-tensors"),
            (["weight.absmax", "SCB"], "is packed by bitsandbytes"),
            (["lora_A.weight", "lora_B.weight", "lora_a", "lora_b"], "is part of an adapter"),
        ]
        for (endings, what) in kinds {
            for name in names where endings.contains(where: { name.hasSuffix("." + $0) }) {
                throw FormatError(
                    .unsupported, path: path, item: name,
                    "the tensor \(what), which is not supported; get the whole model with 16-bit weights, or a GGUF file"
                )
            }
        }
    }

    /// Converts tensor after tensor into `sink`, and the header last. Memory: that of one tensor, before and after.
    /// - Throws: `FormatError`, or what `progress` throws.
    func run(into sink: some ByteSink, progress: ConversionProgress) throws {
        for note in notes { try progress(.note(note)) }
        var writer = try NativeModelWriter(config, into: sink) { metadata throws(FormatError) in
            metadata.add("general.quantization_version", UInt32(2))
            try source.writeMetadata(to: &metadata)
        }
        for (number, part) in parts.enumerated() {
            try progress(.tensor(part.tensor.name, number: number + 1, of: parts.count))
            switch part.spec.storage {
            case .vector, .table: try writeFloats(part, to: &writer)
            case .int8, .neuronMajor: try writeInt8(part, to: &writer)
            case .fourBit: try writeFourBit(part, to: &writer)
            }
            part.tensor.file.adviseUnneeded(part.tensor.bytes)
        }
        try writer.finish()
    }

    private func writeFloats(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let values = try decoded(part)
        if let bad = values.firstIndex(where: { !$0.isFinite }) {
            throw part.tensor.error(.notFinite, "value \(bad) is not finite; the model is damaged")
        }
        let order = rowOrder(of: part)
        // Biases are rows of one value.
        let ordered = part.spec.id.isBias ? values.indices.map { values[order($0)] } : values
        try ordered.withUnsafeBufferPointer { ordered throws(FormatError) in
            try writer.write(UnsafeRawBufferPointer(ordered))
        }
    }

    private func writeInt8(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let matrix = try encoded(part.tensor)
        let dimensions = part.spec.tensors[0].dimensions
        let (stride, storedRows) = (dimensions[0], dimensions[1])
        let (weightBytes, scaleBytes) = (
            try scratch(stride * storedRows), try scratch(matrix.rows * MemoryLayout<Float>.stride)
        )
        defer { withExtendedLifetime((weightBytes, scaleBytes)) {} }
        let weights = weightBytes.writable.baseAddress!.assumingMemoryBound(to: Int8.self)
        let scales = scaleBytes.writable.baseAddress!.assumingMemoryBound(to: Float.self)
        let bad =
            part.spec.isNeuronMajor
            ? quantizeTransposed(matrix, weights: weights, stride: stride, scales: scales)
            : quantize(matrix, sourceRow: rowOrder(of: part), weights: weights, stride: stride, scales: scales)
        if let bad { throw notFinite(part.tensor, row: bad) }
        try writer.write(weightBytes.bytes)
        try writer.write(scaleBytes.bytes)
    }

    /// Zeroed memory for a converted tensor.
    /// - Throws: `FormatError` if there is none: the standard library would end the program.
    private func scratch(_ size: Int) throws(FormatError) -> MappedFile {
        try MappedFile(memoryNamed: source.path, size: size)
    }

    private func writeFourBit(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let blocks = try scratch(part.spec.tensors[0].dimensions.reduce(1, *))
        defer { withExtendedLifetime(blocks) {} }
        let bad = quantizeToFourBits(
            try encoded(part.tensor), importance: try importance(of: part), sourceRow: rowOrder(of: part),
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

    /// The values of a tensor, without those of skipped rows.
    private func decoded(_ part: Part) throws(FormatError) -> [Float] {
        let matrix = try encoded(part.tensor)
        return [Float](unsafeUninitializedCapacity: (matrix.rows - part.skippedRows) * matrix.cols) { values, count in
            for row in part.skippedRows..<matrix.rows {
                matrix.decode(row: row, into: values.baseAddress! + count)
                count += matrix.cols
            }
        }
    }

    /// A tensor as a matrix; a vector is one row.
    private func encoded(_ tensor: SourceTensor) throws(FormatError) -> EncodedMatrix {
        let (outer, cols) = (tensor.shape.dropLast(), tensor.shape[tensor.shape.count - 1])
        guard
            let matrix = EncodedMatrix(
                format: tensor.format!, bytes: tensor.bytes.baseAddress!, rows: outer.reduce(1, *), cols: cols)
        else { throw tensor.error(.mismatch, "a row is not a whole number of blocks") }
        return matrix
    }

    private func notFinite(_ tensor: SourceTensor, row: Int) -> FormatError {
        let cause = tensor.format == .i2S ? ", or of a version of bitnet.cpp with another layout of I2_S" : ""
        return tensor.error(.notFinite, "row \(row) has a weight that is not finite; the model is damaged" + cause)
    }

    /// The row of the source that becomes row r, of weights and of biases: where rotary pairs are interleaved
    /// (2i, 2i + 1), queries and keys are put into half-split order (i, i + d/2), so that the runtime knows one order only.
    private func rowOrder(of part: Part) -> @Sendable (Int) -> Int {
        guard source.map.hasInterleavedPairs, part.spec.id.role.hasRotaryRows else { return { $0 } }
        let headDim = config.headDim
        return { row in
            let (head, inHead) = (row / headDim, row % headDim)
            let (half, pair) = (inHead / (headDim / 2), inHead % (headDim / 2))
            return head * headDim + 2 * pair + half
        }
    }
}
