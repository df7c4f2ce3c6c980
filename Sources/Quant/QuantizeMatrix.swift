// SPDX-License-Identifier: Apache-2.0

import KernelTable
import TinyPlatform

/// A matrix of block-encoded rows, one after another, as model files store it; after them the format's tail.
package struct EncodedMatrix: @unchecked Sendable {
    /// How the rows are stored.
    package let format: BlockFormat
    /// `rows` times `rowBytes` readable bytes of any alignment, and the tail.
    package let bytes: UnsafeRawPointer
    package let rows: Int
    package let cols: Int
    /// Bytes from a row to the next.
    package let rowBytes: Int
    /// What the values are multiplied by.
    private let factor: Float

    /// - Returns: nil unless `cols` is a whole number of blocks of `format`.
    package init?(format: BlockFormat, bytes: UnsafeRawPointer, rows: Int, cols: Int, factor: Float = 1) {
        guard let rowBytes = format.byteCount(of: cols) else { return nil }
        self.format = format
        self.bytes = bytes
        self.rows = rows
        self.cols = cols
        self.rowBytes = rowBytes
        // The scale of the whole matrix, if its blocks have none of their own.
        self.factor =
            format.tailBytes == 0
            ? factor
            : factor
                * Float(bitPattern: UInt32(littleEndian: (bytes + rows * rowBytes).loadUnaligned(as: UInt32.self)))
    }

    /// The weights of a row, `[cols]`.
    package func decode(row: Int, into output: UnsafeMutablePointer<Float>) {
        decodeRow(format, from: bytes + row * rowBytes, count: cols, into: output)
        if factor != 1 { for i in 0..<cols { output[i] *= factor } }
    }
}

/// Quantizes rows of `source` (see `quantizeRow`), on all cores.
/// - Parameters:
///   - count: rows of the result; nil for as many as `source` has.
///   - sourceRow: the row of `source` that becomes row r of the result.
///   - weights: room for rows · stride bytes.
///   - stride: `Matrix.stride(forColumns: source.cols)`.
///   - scales: room for one float a row.
/// - Returns: the first source row with a weight that is not finite, or nil.
package func quantize(
    _ source: EncodedMatrix, count: Int? = nil, sourceRow: @Sendable (Int) -> Int,
    weights: UnsafeMutablePointer<Int8>, stride: Int, scales: UnsafeMutablePointer<Float>
) -> Int? {
    nonisolated(unsafe) let (weights, scales) = (weights, scales)
    return firstBadRow(rows: count ?? source.rows) { group in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: source.cols) { row in
            var bad: Int?
            for r in group {
                let from = sourceRow(r)
                source.decode(row: from, into: row.baseAddress!)
                let scale = quantizeRow(
                    row.baseAddress!, count: source.cols, into: weights + r * stride, stride: stride)
                if scale == nil, bad == nil { bad = from }
                scales[r] = scale ?? 0
            }
            return bad
        }
    }
}

/// Quantizes every row of `source` and stores the result transposed: row c of
/// `weights` is column c of the quantized matrix, so that the weights that leave
/// one neuron lie together. `scales[r]` then belongs to column r of `weights`.
/// - Parameters:
///   - weights: room for cols · stride bytes.
///   - stride: `Matrix.stride(forColumns: source.rows)`.
///   - scales: room for `source.rows` floats.
/// - Returns: the first row with a weight that is not finite, or nil.
package func quantizeTransposed(
    _ source: EncodedMatrix,
    weights: UnsafeMutablePointer<Int8>, stride: Int, scales: UnsafeMutablePointer<Float>
) -> Int? {
    nonisolated(unsafe) let (weights, scales) = (weights, scales)
    let (rows, cols) = (source.rows, source.cols)
    return firstBadRow(rows: rows) { group in
        // A group of 64 rows fills one 64-byte piece of every row of the result.
        let quantized = UnsafeMutablePointer<Int8>.allocate(capacity: groupSize * cols)
        let row = UnsafeMutablePointer<Float>.allocate(capacity: cols)
        defer {
            quantized.deallocate()
            row.deallocate()
        }
        var bad: Int?
        for r in group {
            source.decode(row: r, into: row)
            let scale = quantizeRow(
                row, count: cols, into: quantized + (r - group.lowerBound) * cols, stride: cols)
            if scale == nil, bad == nil { bad = r }
            scales[r] = scale ?? 0
        }
        for c in 0..<cols {
            let piece = weights + c * stride + group.lowerBound
            for r in 0..<group.count { piece[r] = quantized[r * cols + c] }
            (piece + group.count).update(
                repeating: 0, count: min(groupSize, stride - group.lowerBound) - group.count)
        }
        return bad
    }
}

/// Rows a thread takes at a time.
private let groupSize = Matrix.alignment

/// Runs `body` on groups of rows on all cores; the first bad row any reported.
func firstBadRow(rows: Int, _ body: @Sendable (Range<Int>) -> Int?) -> Int? {
    let groups = (rows + groupSize - 1) / groupSize
    guard groups > 0 else { return nil }
    return withUnsafeTemporaryAllocation(of: Int.self, capacity: groups) { found in
        nonisolated(unsafe) let found = found
        concurrently(groups) { group in
            let first = group * groupSize
            found[group] = body(first..<min(first + groupSize, rows)) ?? -1
        }
        return found.first { $0 >= 0 }
    }
}
