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
        /// The others that make up the matrices of a mixture's experts, or the scale of a packed matrix.
        var more: [SourceTensor] = []
        /// Rows of the source before the first that is needed.
        let skippedRows: Int
        /// Whether the source has the matrix as `[inputs, outputs]`.
        let isTransposed: Bool
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
        if let experts = source.config.experts, source.map.slots[spec.id.role]?.isOfExperts ?? false {
            return try part(spec, of: source, experts)
        }
        let name = source.map.name(of: spec.id)
        guard let tensor = source.tensor(name) else {
            throw FormatError(
                .missing, path: source.path, item: name,
                "the tensor is missing; the file is incomplete or of another architecture")
        }
        if source.coding.isPacked, spec.isMatrix, spec.id.layer != nil {
            return try packedPart(spec, tensor, of: source)
        }
        let slot = source.map.slots[spec.id.role]
        var (shape, skippedRows) = (spec.sourceShape, 0)
        if let fused = slot?.fused { shape[0] = fused.count(source.config) }
        let isTransposed =
            switch slot?.orientation ?? .outputsFirst {
            case .outputsFirst: false
            case .inputsFirst: shape.count == 2
            case .byShape: shape.count == 2 && tensor.shape != shape
            }
        if isTransposed { shape.reverse() }
        if let skipped = slot?.skippedRows, tensor.shape.first == shape[0] + skipped {
            skippedRows = skipped
            shape[0] += skipped
        }
        // A vector may be stored as a matrix of one row, or as one row for each head.
        let isSame = tensor.shape == shape || shape.count == 1 && tensor.shape.reduce(1, *) == shape[0]
        guard isSame else {
            throw tensor.error(
                .mismatch, "has the shape \(tensor.shape), but the configuration demands \(shape)")
        }
        try requireReadable(tensor)
        return Part(spec: spec, tensor: tensor, skippedRows: skippedRows, isTransposed: isTransposed)
    }

    /// - Throws: `FormatError` if the tensor's type is not supported, or does not fit its shape.
    private static func requireReadable(_ tensor: SourceTensor) throws(FormatError) {
        guard let format = tensor.format else {
            let supported = BlockFormat.allCases.filter { $0 != .i8 }.map { $0.name }.joined(separator: ", ")
            throw tensor.error(
                .unsupported,
                "its type, \(tensor.typeName), is not supported; supported are \(supported); "
                    + "get another version of the model")
        }
        guard format != .i8, format.byteCount(of: tensor.shape.last ?? 0) != nil else {
            throw tensor.error(.unsupported, "its type, \(tensor.typeName), does not fit the shape \(tensor.shape)")
        }
    }

    /// A packed matrix with its scale.
    private static func packedPart(
        _ spec: TensorSpec, _ tensor: SourceTensor, of source: any ModelSource
    ) throws(FormatError) -> Part {
        let shape = [spec.sourceShape[0] / 4, spec.sourceShape[1]]
        guard tensor.typeName == "U8", tensor.shape == shape, spec.sourceShape[0] % 4 == 0 else {
            throw tensor.error(
                .mismatch, "is \(tensor.typeName) \(tensor.shape), but packed ternary weights are U8 \(shape)")
        }
        guard let scale = source.tensor(tensor.name + "_scale"), scale.shape.reduce(1, *) == 1, scale.format != nil else {
            throw tensor.error(.missing, "its scale, \(tensor.name)_scale, is missing, or not one number")
        }
        var part = Part(spec: spec, tensor: tensor, skippedRows: 0, isTransposed: false)
        part.more = [scale]
        return part
    }

    /// Finds the tensors that hold the experts of a mixture.
    private static func part(
        _ spec: TensorSpec, of source: any ModelSource, _ experts: Experts
    ) throws(FormatError) -> Part {
        let config = source.config, isDown = spec.id.role == .down
        func shape(_ width: Int) -> [Int] { isDown ? [config.dModel, width] : [width, config.dModel] }
        var found: [SourceTensor] = []
        let names = source.map.names(ofExperts: spec.id, experts), hasShared = config.dFF > experts.count * experts.width
        for (number, name) in names.enumerated() {
            guard let tensor = source.tensor(name) else {
                throw FormatError(
                    .missing, path: source.path, item: name,
                    "the tensor is missing; the file is incomplete or of another architecture")
            }
            let isShared = hasShared && number == names.count - 1
            let one = shape(isShared ? config.dFF - experts.count * experts.width : experts.width)
            let wanted = isShared || names.count >= experts.count ? one : [experts.count] + one
            guard tensor.shape == wanted else {
                throw tensor.error(
                    .mismatch, "has the shape \(tensor.shape), but the configuration demands \(wanted)")
            }
            try requireReadable(tensor)
            found.append(tensor)
        }
        var part = Part(spec: spec, tensor: found[0], skippedRows: 0, isTransposed: false)
        part.more = Array(found.dropFirst())
        return part
    }

    /// Rows are padded to 64 columns, so a file of absurdly narrow matrices would grow beyond measure. Real models grow
    /// less than twofold.
    private static func checkSize(_ parts: [Part], path: String) throws(FormatError) {
        let before = parts.reduce(0) { $1.more.reduce($0 + $1.tensor.bytes.count) { $0 + $1.bytes.count } }
        let after = parts.flatMap { $0.spec.tensors }.reduce(0) {
            $0 + $1.format.byteCount(of: $1.dimensions.reduce(1, *))!
        }
        guard after <= 4 * before + (1 << 26) else {
            throw FormatError(
                .unsupported, path: path, "its matrices are so narrow that \(before) bytes would become \(after)")
        }
    }

    /// Refuses tensors that no part of the model uses: without them it would compute something else than it was trained
    /// to. Tensors that only repeat what is known are fine: such as are derived from settings, and a tied LM head.
    private static func requireAllUsed(_ names: [String], _ parts: [Part], _ source: any ModelSource)
        throws(FormatError)
    {
        let used = Set(parts.flatMap { [$0.tensor] + $0.more }.map { $0.name })
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

    /// Converts tensor after tensor into `sink`, and the header last. Memory: that of one converted tensor.
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
        }
        try writer.finish()
    }

    private func writeFloats(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let values = decoded(part), factor = factor(of: part)
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
    private func scratch(_ size: Int) throws(FormatError) -> MappedFile {
        try MappedFile(memoryNamed: source.path, size: size)
    }

    private func writeFourBit(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let matrix = try encoded(part)
        let blocks = try scratch(part.spec.tensors[0].dimensions.reduce(1, *))
        defer { withExtendedLifetime((matrix, blocks)) {} }
        let bad = quantizeToFourBits(
            matrix.rows, count: part.spec.sourceShape[0], importance: importance(of: part), sourceRow: matrix.order,
            blocks: blocks.writable.baseAddress!)
        if let bad { throw notFinite(part.tensor, row: bad) }
        try writer.write(blocks.bytes)
    }

    /// How much an error in each column of a matrix matters, `[inputs]`: where the input comes out of a norm, it is about
    /// as large as the norm's weight.
    private func importance(of part: Part) -> [Float] {
        let norm = part.spec.id.role.inputNorm.map { part.spec.id.sibling($0) }
        guard let norm = parts.first(where: { $0.spec.id == norm }) else {
            return [Float](repeating: 1, count: part.spec.sourceShape[1])
        }
        return decoded(norm).map { $0 * $0 }
    }

    /// The values of a tensor, without those of skipped rows; all of them if the tensor is one of several roles.
    private func decoded(_ part: Part) -> [Float] {
        let format = part.tensor.format!  // checked by init
        let skipped = part.skippedRows * part.spec.sourceShape.dropFirst().reduce(1, *)
        let start = part.tensor.bytes.baseAddress! + format.byteCount(of: skipped)!
        let total = part.tensor.shape.reduce(1, *) - skipped
        let addend = part.spec.id.role.isNorm && !part.spec.id.isBias ? source.map.normAddend : 0
        return [Float](unsafeUninitializedCapacity: total) { values, count in
            decodeRow(format, from: start, count: total, into: values.baseAddress!)
            if addend != 0 { for i in 0..<total { values[i] += addend } }
            count = total
        }
    }

    /// What a tensor and its bias are multiplied by.
    private func factor(of part: Part) -> Float { source.scales.factor(part.spec.id, config) }

    /// A matrix as its source has it, and which of its rows becomes row r.
    private final class SourceRows {
        let rows: EncodedMatrix
        let order: @Sendable (Int) -> Int
        /// The memory of rows that are not in the source as they are.
        private let made: MappedFile?

        init(_ rows: EncodedMatrix, order: @escaping @Sendable (Int) -> Int, made: MappedFile? = nil) {
            self.rows = rows
            self.order = order
            self.made = made
        }
    }

    private func encoded(_ part: Part) throws(FormatError) -> SourceRows {
        let tensor = part.tensor, factor = factor(of: part)
        let isOfExperts = source.map.slots[part.spec.id.role]?.isOfExperts ?? false
        var isCoded = part.spec.id.layer != nil
        if case .plain = source.coding { isCoded = false }
        if part.isTransposed || isOfExperts || isCoded {
            let made = try isCoded ? uncoded(part) : isOfExperts ? stacked(part) : transposed(part)
            let rows = EncodedMatrix(
                format: .f32, bytes: made.bytes.baseAddress!, rows: part.spec.sourceShape[0],
                cols: part.spec.sourceShape[1], factor: factor)!
            return SourceRows(rows, order: { $0 }, made: made)
        }
        guard
            let rows = EncodedMatrix(
                format: tensor.format!, bytes: tensor.bytes.baseAddress!, rows: tensor.shape[0],
                cols: tensor.shape[1], factor: factor)
        else { throw tensor.error(.mismatch, "a row is not a whole number of blocks") }
        return SourceRows(rows, order: rowOrder(of: part))
    }

    /// The part's rows of a matrix that a checkpoint stores as `[inputs, outputs]`, as floats.
    private func transposed(_ part: Part) throws(FormatError) -> MappedFile {
        let (rows, cols) = (part.spec.sourceShape[0], part.spec.sourceShape[1])
        let made = try scratch(rows * cols * MemoryLayout<Float>.stride)
        let out = made.writable.baseAddress!.assumingMemoryBound(to: Float.self)
        guard let stored = EncodedMatrix(
            format: part.tensor.format!, bytes: part.tensor.bytes.baseAddress!, rows: part.tensor.shape[0],
            cols: part.tensor.shape[1])
        else { throw part.tensor.error(.mismatch, "a row is not a whole number of blocks") }
        let order = rowOrder(of: part)
        var row = [Float](repeating: 0, count: stored.cols)
        for c in 0..<cols {
            stored.decode(row: c, into: &row)
            for r in 0..<rows { out[r * cols + c] = row[order(r)] }
        }
        return made
    }

    /// A matrix with a coding of its own, as floats.
    private func uncoded(_ part: Part) throws(FormatError) -> MappedFile {
        let (rows, cols) = (part.spec.sourceShape[0], part.spec.sourceShape[1])
        let made = try scratch(rows * cols * MemoryLayout<Float>.stride)
        var scale: Float = 1
        if let tensor = part.more.first {
            decodeRow(tensor.format!, from: tensor.bytes.baseAddress!, count: 1, into: &scale)
            guard scale.isFinite, scale != 0 else { throw tensor.error(.notFinite, "the scale is \(scale)") }
        }
        source.coding.decode(
            part.tensor, rows: rows, cols: cols, scale: scale,
            into: made.writable.baseAddress!.assumingMemoryBound(to: Float.self))
        return made
    }

    /// The experts of a mixture as one matrix of floats: their neurons one after another, which are rows of up and gate, and
    /// columns of down.
    private func stacked(_ part: Part) throws(FormatError) -> MappedFile {
        let made = try scratch(part.spec.sourceShape.reduce(1, *) * MemoryLayout<Float>.stride)
        let out = made.writable.baseAddress!.assumingMemoryBound(to: Float.self)
        let isDown = part.spec.id.role == .down
        var neuron = 0
        for tensor in [part.tensor] + part.more {
            let rows = tensor.shape[tensor.shape.count - 2], cols = tensor.shape[tensor.shape.count - 1]
            let format = tensor.format!, matrix = format.byteCount(of: rows * cols)!
            for expert in 0..<tensor.shape.reduce(1, *) / (rows * cols) {
                let bytes = tensor.bytes.baseAddress! + expert * matrix
                for r in 0..<rows {
                    let place = isDown ? r * config.dFF + neuron : (neuron + r) * cols
                    decodeRow(format, from: bytes + r * format.byteCount(of: cols)!, count: cols, into: out + place)
                }
                neuron += isDown ? cols : rows
            }
        }
        return made
    }

    private func notFinite(_ tensor: SourceTensor, row: Int) -> FormatError {
        tensor.error(.notFinite, "row \(row) has a weight that is not finite; the model is damaged")
    }

    /// The row of the source that becomes row r, of weights and of biases: of tensors that hold several roles, the role's;
    /// where rotary pairs are interleaved (2i, 2i + 1), queries and keys are put into half-split order (i, i + d/2), so that
    /// the runtime knows one order only.
    private func rowOrder(of part: Part) -> @Sendable (Int) -> Int {
        let role = part.spec.id.role, config = config
        let isInterleaved = source.map.hasInterleavedPairs && role.hasRotaryRows
        let fused = source.map.slots[role]?.fused
        return { row in
            let inRole = isInterleaved ? Self.interleaved(row, headDim: config.headDim) : row
            return fused?.row(inRole, of: role, config) ?? inRole
        }
    }

    private static func interleaved(_ row: Int, headDim: Int) -> Int {
        let (head, inHead) = (row / headDim, row % headDim)
        let (half, pair) = (inHead / (headDim / 2), inHead % (headDim / 2))
        return head * headDim + 2 * pair + half
    }
}
