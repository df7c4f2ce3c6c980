// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinySupport

// The weights of a source checkpoint in our order: rows that are fused, transposed, packed, or spread over experts.

extension Converter {
    /// The values of a tensor, without those of skipped rows; all of them if the tensor is one of several roles.
    func decoded(_ part: Part) throws(FormatError) -> [Float] {
        let matrix = try matrix(part.tensor)
        let addend = part.spec.id.role.isNorm && !part.spec.id.isBias ? source.map.normAddend : 0
        let first = part.skippedRows
        return [Float](unsafeUninitializedCapacity: (matrix.rows - first) * matrix.cols) { values, count in
            for row in first..<matrix.rows {
                matrix.decode(row: row, into: values.baseAddress! + count)
                count += matrix.cols
            }
            if addend != 0 { for i in 0..<count { values[i] += addend } }
        }
    }

    /// A tensor as a matrix; a vector is one row.
    func matrix(_ tensor: SourceTensor, factor: Float = 1) throws(FormatError) -> EncodedMatrix {
        let (outer, cols) = (tensor.shape.dropLast(), tensor.shape[tensor.shape.count - 1])
        guard
            let matrix = EncodedMatrix(
                format: tensor.format!, bytes: tensor.bytes.baseAddress!, rows: outer.reduce(1, *), cols: cols,
                factor: factor)
        else { throw tensor.error(.mismatch, "a row is not a whole number of blocks") }
        return matrix
    }

    /// What a tensor and its bias are multiplied by.
    func factor(of part: Part) -> Float { source.scales.factor(part.spec.id, config) }

    /// A matrix as its source has it, and which of its rows becomes row r.
    final class SourceRows {
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

    func encoded(_ part: Part) throws(FormatError) -> SourceRows {
        let factor = factor(of: part)
        let isOfExperts = source.map.slots[part.spec.id.role]?.isOfExperts ?? false
        var isCoded = part.spec.id.layer != nil && part.spec.id.role.isOfSource
        if case .plain = source.coding { isCoded = false }
        guard part.isTransposed || isOfExperts || isCoded else {
            return SourceRows(try matrix(part.tensor, factor: factor), order: rowOrder(of: part))
        }
        let made = try isCoded ? uncoded(part) : isOfExperts ? stacked(part) : transposed(part)
        let rows = EncodedMatrix(
            format: .f32, bytes: made.bytes.baseAddress!, rows: part.spec.sourceShape[0],
            cols: part.spec.sourceShape[1], factor: factor)!
        return SourceRows(rows, order: { $0 }, made: made)
    }

    /// The part's rows of a matrix that a checkpoint stores as `[inputs, outputs]`, as floats.
    func transposed(_ part: Part) throws(FormatError) -> MappedFile {
        let (rows, cols) = (part.spec.sourceShape[0], part.spec.sourceShape[1])
        let made = try scratch(rows * cols * MemoryLayout<Float>.stride)
        let out = made.writable.baseAddress!.assumingMemoryBound(to: Float.self)
        let stored = try matrix(part.tensor)
        let order = rowOrder(of: part)
        var row = [Float](repeating: 0, count: stored.cols)
        for c in 0..<cols {
            stored.decode(row: c, into: &row)
            for r in 0..<rows { out[r * cols + c] = row[order(r)] }
        }
        return made
    }

    /// A matrix with a coding of its own, as floats.
    func uncoded(_ part: Part) throws(FormatError) -> MappedFile {
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
    func stacked(_ part: Part) throws(FormatError) -> MappedFile {
        let made = try scratch(part.spec.sourceShape.reduce(1, *) * MemoryLayout<Float>.stride)
        let out = made.writable.baseAddress!.assumingMemoryBound(to: Float.self)
        let isDown = part.spec.id.role == .down
        var neuron = 0
        for tensor in [part.tensor] + part.more {
            let all = try matrix(tensor)
            let rows = tensor.shape[tensor.shape.count - 2], cols = all.cols
            for first in stride(from: 0, to: all.rows, by: rows) {
                for r in 0..<rows {
                    all.decode(row: first + r, into: out + (isDown ? r * config.dFF + neuron : (neuron + r) * cols))
                }
                neuron += isDown ? cols : rows
            }
        }
        return made
    }

    /// The row of the source that becomes row r, of weights and of biases: of tensors that hold several roles, the role's;
    /// where rotary pairs are interleaved (2i, 2i + 1), queries and keys are put into half-split order (i, i + d/2), so that
    /// the runtime knows one order only.
    func rowOrder(of part: Part) -> @Sendable (Int) -> Int {
        let role = part.spec.id.role, config = config
        let isInterleaved = source.map.hasInterleavedPairs && role.hasRotaryRows
        let fused = source.map.slots[role]?.fused
        return { row in
            let inRole = isInterleaved ? Self.interleaved(row, headDim: config.headDim) : row
            return fused?.row(inRole, of: role, config) ?? inRole
        }
    }

    static func interleaved(_ row: Int, headDim: Int) -> Int {
        let (head, inHead) = (row / headDim, row % headDim)
        let (half, pair) = (inHead / (headDim / 2), inHead % (headDim / 2))
        return head * headDim + 2 * pair + half
    }
}
