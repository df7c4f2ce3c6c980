// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinySupport

// Matrices of source checkpoints that are ternary: stored as such, nothing is lost.

extension Converter {
    /// The roles whose matrices are ternary in every layer.
    ///
    /// Whether they are is known from their coding, or else their type. Blocks of the types TQ1_0 and TQ2_0 have scales of
    /// their own, so their weights are read, until one is found that is different.
    /// - Throws: `FormatError` if a type does not fit its shape.
    func ternaryRoles(readsWeights: Bool) throws(FormatError) -> PackedRoles {
        try PackedRoles(.ternary) { role throws(FormatError) in
            // Skipped neurons need the columns of `down` in one place.
            if role == .down, config.skipsNeurons { return false }
            let parts = parts.filter { $0.spec.id.role == role && !$0.spec.id.isBias }
            guard !parts.isEmpty, parts.allSatisfy({ hasTernaryType($0) }) else { return false }
            guard readsWeights else { return true }
            for part in parts where part.tensor.format == .tq1_0 || part.tensor.format == .tq2_0 {
                let matrix = try encoded(part)
                defer { part.tensor.file.adviseUnneeded(part.tensor.bytes) }
                guard isTernary(matrix.rows, count: part.spec.sourceShape[0], sourceRow: matrix.order) else {
                    return false
                }
            }
            return true
        }
    }

    private func hasTernaryType(_ part: Part) -> Bool {
        guard case .plain = source.coding else { return true }
        guard !part.isTransposed, !(source.map.slots[part.spec.id.role]?.isOfExperts ?? false) else { return false }
        switch part.tensor.format {
        case .tq1_0, .tq2_0, .i2S: return true
        default: return false
        }
    }

    func writeTernary(
        _ part: Part, to writer: inout NativeModelWriter<some ByteSink>
    ) throws(FormatError) {
        let matrix = try encoded(part)
        let (rows, columns) = (part.spec.sourceShape[0], part.spec.sourceShape[1])
        let weights = try scratch(rows * TernaryMatrix.stride(forColumns: columns))
        let scales = try scratch(rows * MemoryLayout<Float>.stride)
        defer { withExtendedLifetime((matrix, weights, scales)) {} }
        let bad = storeTernary(
            matrix.rows, count: rows, sourceRow: matrix.order, weights: weights.writable.baseAddress!,
            scales: scales.writable.baseAddress!.assumingMemoryBound(to: Float.self))
        if let bad { throw notTernary(part.tensor, matrix.rows, row: bad) }
        try writer.write(weights.bytes)
        try writer.write(scales.bytes)
    }

    private func notTernary(_ tensor: SourceTensor, _ matrix: EncodedMatrix, row: Int) -> FormatError {
        var weights = [Float](repeating: 0, count: matrix.cols)
        matrix.decode(row: row, into: &weights)
        guard weights.allSatisfy({ $0.isFinite }) else { return notFinite(tensor, row: row) }
        return tensor.error(
            .malformed, "row \(row) has a weight that is not -1, 0 or 1 times the scale; the model is damaged")
    }
}
