import Quant
import TinyFormats
import TinySupport

/// A source checkpoint with every tensor found and checked, ready to be written as
/// a native file.
struct Converter {
    /// The configuration of the native file.
    let config: ModelConfig
    /// Tensors of the source nobody needs.
    let notes: [String]
    private let source: any ModelSource
    private let parts: [(spec: TensorSpec, tensor: SourceTensor)]

    /// Finds all tensors before anything is written or allocated.
    /// - Throws: `FormatError` naming the tensor that is missing or does not fit.
    init(_ source: any ModelSource, weights: WeightFormat = .int8) throws {
        self.source = source
        config = source.config.native(weights)
        let names = source.fileNames
        // Cheaper than to list the parts of a million layers that are not there.
        guard source.config.nLayers <= names.count else {
            throw FormatError(
                .missing, path: source.path,
                "there are \(names.count) tensors, too few for \(source.config.nLayers) layers")
        }
        let spec = try source.tokenizerSpec()
        guard spec.tokens.count <= source.config.vocabularySize else {
            throw FormatError(
                .mismatch, path: source.path, item: "tokenizer",
                "has \(spec.tokens.count) tokens, but the model only "
                    + "\(source.config.vocabularySize)")
        }
        parts = try config.tensorSpecs.map { spec in
            let name = source.fileName(of: spec.id)
            guard let tensor = source.tensor(fileName: name) else {
                throw FormatError(
                    .missing, path: source.path, item: name,
                    "the tensor is missing; the file is incomplete or of another architecture")
            }
            try Self.check(tensor, fits: spec, of: source.config)
            return (spec, tensor)
        }
        try Self.checkSize(parts, path: source.path)
        notes = try Self.extraTensors(names, used: Set(parts.map(\.tensor.name)), source)
    }

    /// Rows are padded to 64 columns, so a file of absurdly narrow matrices would
    /// grow beyond measure. Real models grow less than twofold.
    private static func checkSize(
        _ parts: [(spec: TensorSpec, tensor: SourceTensor)], path: String
    ) throws {
        let before = parts.reduce(0) { $0 + $1.tensor.bytes.count }
        let after = parts.flatMap(\.spec.tensors).reduce(0) {
            $0 + $1.format.byteCount(of: $1.dimensions.reduce(1, *))!
        }
        guard after <= 4 * before + (1 << 26) else {
            throw FormatError(
                .unsupported, path: path,
                "its matrices are so narrow that \(before) bytes would become \(after)")
        }
    }

    private static func check(
        _ tensor: SourceTensor, fits spec: TensorSpec, of config: ModelConfig
    ) throws {
        var shape = spec.sourceShape
        if case .table(let rows, _) = spec.storage, case .learned(let offset) = config.positions,
            tensor.shape.first == rows + offset
        {
            shape[0] += offset
        }
        guard tensor.shape == shape else {
            throw tensor.error(
                .mismatch, "has the shape \(tensor.shape), but the configuration demands \(shape)")
        }
        guard let format = tensor.format else {
            let supported = BlockFormat.allCases.filter { $0 != .i8 }.map(\.name)
            throw tensor.error(
                .unsupported,
                "its type, \(tensor.typeName), is not supported; supported are "
                    + supported.joined(separator: ", ") + "; get another version of the model")
        }
        guard format != .i8, format.byteCount(of: shape[shape.count - 1]) != nil else {
            throw tensor.error(
                .unsupported, "its type, \(tensor.typeName), does not fit the shape \(shape)")
        }
    }

    /// Notes about tensors not used. A bias of a model that has none would
    /// change what the model says, so that is an error.
    private static func extraTensors(
        _ names: [String], used: Set<String>, _ source: any ModelSource
    ) throws -> [String] {
        var expected = used
        expected.insert(GGUFFields.ropeFactorsName)  // part of the configuration
        return try names.filter { !expected.contains($0) }.sorted().compactMap { name in
            let isTiedHead = source.config.tiedHead && name == source.fileName(of: TensorID(.lmHead))
            if isTiedHead || name.hasSuffix("rotary_emb.inv_freq") { return nil }
            guard !name.hasSuffix(".bias") else {
                throw FormatError(
                    .unsupported, path: source.path, item: name,
                    "biases of \(source.config.architecture) models are not supported here")
            }
            return "ignored the tensor \(printable(name))"
        }
    }

    /// The writer of the native file.
    func writer() throws -> NativeModelWriter {
        try NativeModelWriter(config) { writer in
            writer.add("general.quantization_version", UInt32(2))
            try source.writeMetadata(to: &writer)
        }
    }

    /// Converts tensor after tensor. Memory: that of one converted tensor.
    func run(
        _ writer: inout NativeModelWriter, into sink: some ByteSink, progress: ConversionProgress
    ) throws {
        for note in notes { try progress(.note(note)) }
        for (number, (spec, tensor)) in parts.enumerated() {
            try progress(.tensor(tensor.name, number: number + 1, of: parts.count))
            func write(_ bytes: UnsafeRawBufferPointer) throws { try writer.write(bytes, to: sink) }
            switch spec.storage {
            case .vector, .table: try decoded(spec, tensor, write)
            case .int8, .neuronMajor: try quantized(spec, tensor, write)
            case .fourBit: try quantizedToFourBits(spec, tensor, write)
            }
        }
    }

    private func decoded(
        _ spec: TensorSpec, _ tensor: SourceTensor, _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let count = spec.sourceShape.reduce(1, *)
        let format = tensor.format!  // checked by init
        // A table of positions may start with rows that stand for none.
        let skipped = tensor.shape.reduce(1, *) - count
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
        defer { values.deallocate() }
        decodeRow(
            format, from: tensor.bytes.baseAddress! + format.byteCount(of: skipped)!, count: count,
            into: values.baseAddress!)
        if let bad = values.firstIndex(where: { !$0.isFinite }) {
            throw tensor.error(.notFinite, "value \(bad) is not finite; the model is damaged")
        }
        if spec.id.isBias {
            // The biases of rows that are put into another order go with them.
            let order = rowOrder(of: spec), source = [Float](values)
            for row in 0..<count { values[row] = source[order(row)] }
        }
        try write(UnsafeRawBufferPointer(values))
    }

    private func quantized(
        _ spec: TensorSpec, _ tensor: SourceTensor, _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let matrix = try encoded(tensor)
        let dimensions = spec.tensors[0].dimensions
        let (stride, storedRows) = (dimensions[0], dimensions[1])
        let weights = UnsafeMutableBufferPointer<Int8>.allocate(capacity: stride * storedRows)
        let scales = UnsafeMutableBufferPointer<Float>.allocate(capacity: matrix.rows)
        defer {
            weights.deallocate()
            scales.deallocate()
        }
        let bad: Int?
        if case .neuronMajor = spec.storage {
            bad = quantizeTransposed(
                matrix, weights: weights.baseAddress!, stride: stride, scales: scales.baseAddress!)
        } else {
            bad = quantize(
                matrix, sourceRow: rowOrder(of: spec), weights: weights.baseAddress!,
                stride: stride, scales: scales.baseAddress!)
        }
        if let bad { throw notFinite(tensor, row: bad) }
        try write(UnsafeRawBufferPointer(weights))
        try write(UnsafeRawBufferPointer(scales))
    }

    private func quantizedToFourBits(
        _ spec: TensorSpec, _ tensor: SourceTensor, _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let size = spec.tensors[0].dimensions.reduce(1, *)
        let blocks = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: Matrix.alignment)
        defer { blocks.deallocate() }
        let bad = quantizeToFourBits(
            try encoded(tensor), importance: importance(of: spec), sourceRow: rowOrder(of: spec),
            blocks: blocks.baseAddress!)
        if let bad { throw notFinite(tensor, row: bad) }
        try write(UnsafeRawBufferPointer(blocks))
    }

    /// What an error in each column of a matrix counts: where the input comes out of a norm, it is about as
    /// large as the norm's weight.
    private func importance(of spec: TensorSpec) -> [Float] {
        guard let norm = spec.id.role.inputNorm,
            let (vector, tensor) = parts.first(where: { $0.spec.id == spec.id.sibling(norm) })
        else { return [Float](repeating: 1, count: spec.sourceShape[1]) }
        var weights = [Float](repeating: 0, count: vector.sourceShape[0])
        decodeRow(tensor.format!, from: tensor.bytes.baseAddress!, count: weights.count, into: &weights)
        return weights.map { $0 * $0 }
    }

    private func encoded(_ tensor: SourceTensor) throws -> EncodedMatrix {
        guard
            let matrix = EncodedMatrix(
                format: tensor.format!, bytes: tensor.bytes.baseAddress!, rows: tensor.shape[0],
                cols: tensor.shape[1])
        else { throw tensor.error(.mismatch, "a row is not a whole number of blocks") }
        return matrix
    }

    private func notFinite(_ tensor: SourceTensor, row: Int) -> FormatError {
        tensor.error(.notFinite, "row \(row) has a weight that is not finite; the model is damaged")
    }

    /// The row of the source that becomes row r: of interleaved rotary pairs
    /// (2i, 2i + 1), queries and keys are put into half-split order
    /// (i, i + d/2), so that the runtime knows one order only.
    private func rowOrder(of spec: TensorSpec) -> @Sendable (Int) -> Int {
        guard case .rope(_, _, _, interleaved: true) = source.config.positions,
            spec.id.role.hasRotaryRows
        else { return { $0 } }
        let headDim = config.headDim
        return { row in
            let (head, inHead) = (row / headDim, row % headDim)
            let (half, pair) = (inHead / (headDim / 2), inHead % (headDim / 2))
            return head * headDim + 2 * pair + half
        }
    }
}

extension ModelConfig {
    /// This configuration once converted: half-split rotary pairs, or a table of
    /// positions without offset.
    func native(_ weights: WeightFormat) -> ModelConfig {
        var config = self
        config.fourBit = FourBitRoles(weights, self)
        switch positions {
        case .rope(let base, let scaling, let dims, _):
            config.positions = .rope(base: base, scaling: scaling, dims: dims, interleaved: false)
        case .learned: config.positions = .learned(offset: 0)
        }
        return config
    }
}
