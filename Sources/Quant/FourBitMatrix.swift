// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// A matrix of 4-bit weights in memory owned by somebody else: w = d · q + m, one pair of halves (d, m) for
/// every 32 columns of a row, laid out in blocks of sixteen rows (see `FourBitKernels`).
package struct FourBitMatrix: @unchecked Sendable {
    /// Rows with a meaning; the last block is filled up with zeros.
    package let rows: Int
    /// Columns with a meaning; rows are padded with zeros to whole groups.
    package let cols: Int
    /// 64-byte aligned.
    package let blocks: UnsafeRawPointer

    /// Wraps memory the caller keeps alive.
    package init(rows: Int, cols: Int, blocks: UnsafeRawPointer) {
        self.rows = rows
        self.cols = cols
        self.blocks = blocks
    }

    /// Groups of 64 columns in a row.
    package var groups: Int { FourBitMatrix.groups(forColumns: cols) }

    static func groups(forColumns cols: Int) -> Int { (cols + groupSize - 1) / groupSize }

    /// Bytes of a block of a matrix that wide.
    package static func blockBytes(forColumns cols: Int) -> Int {
        2 * groups(forColumns: cols) * FourBitRows.recordBytes
    }

    /// Blocks of a matrix that tall.
    package static func blocks(forRows rows: Int) -> Int {
        (rows + FourBitRows.blockRows - 1) / FourBitRows.blockRows
    }
}

/// The half group with an infinite or undefined d or m, if there is one. Cost: O(size), a tenth of the bytes.
package func firstBadScale(inBlocks bytes: UnsafeRawBufferPointer) -> Int? {
    for record in 0..<bytes.count / FourBitRows.recordBytes {
        let halves = (bytes.baseAddress! + record * FourBitRows.recordBytes)
            .loadUnaligned(as: SIMD32<UInt16>.self)
        if any((halves & 0x7C00) .== 0x7C00) { return record }
    }
    return nil
}

/// Stores every row of `source` with 4 bits a weight, on all cores. Q4_1 and Q4_0 weights are taken over as
/// they are; others are quantized (see `FourBitGroup`).
/// - Parameters:
///   - importance: what an error counts in each column.
///   - sourceRow: the row of `source` that becomes row r of the result.
///   - blocks: room for all blocks (see `FourBitMatrix`).
/// - Returns: the first source row with a weight that is not finite, or nil.
package func quantizeToFourBits(
    _ source: EncodedMatrix, count: Int? = nil, importance: [Float], sourceRow: @Sendable (Int) -> Int,
    blocks: UnsafeMutableRawPointer
) -> Int? {
    precondition(importance.count == source.cols)
    nonisolated(unsafe) let blocks = blocks
    let blockBytes = FourBitMatrix.blockBytes(forColumns: source.cols)
    let width = (source.cols + halfGroupSize - 1) / halfGroupSize * halfGroupSize
    let importance = importance + [Float](repeating: 0, count: width - source.cols)
    return firstBadRow(rows: count ?? source.rows) { some in
        let first = some.lowerBound / FourBitRows.blockRows
        let end = FourBitMatrix.blocks(forRows: some.upperBound)
        (blocks + first * blockBytes).initializeMemory(
            as: UInt8.self, repeating: 0, count: (end - first) * blockBytes)
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { row in
            var bad: Int?
            for r in some {
                let from = sourceRow(r)
                let block = blocks + r / FourBitRows.blockRows * blockBytes
                if !store(source, from, importance, block, r % FourBitRows.blockRows, row), bad == nil { bad = from }
            }
            return bad
        }
    }
}

/// Stores one row; false if a weight is not finite.
private func store(
    _ source: EncodedMatrix, _ from: Int, _ importance: [Float], _ block: UnsafeMutableRawPointer, _ lane: Int,
    _ row: UnsafeMutableBufferPointer<Float>
) -> Bool {
    let encoded = source.bytes + from * source.rowBytes
    if source.format != .q4_0, source.format != .q4_1 {
        source.decode(row: from, into: row.baseAddress!)
        // Missing weights are repeats, so that they widen nothing.
        for i in source.cols..<row.count { row[i] = row[source.cols - 1] }
    }
    return importance.withUnsafeBufferPointer { importance in
        for h in 0..<row.count / halfGroupSize {
            let at = h * halfGroupSize
            let group: FourBitGroup? =
                switch source.format {
                case .q4_0: FourBitGroup(q4_0: encoded + h * source.format.blockBytes)
                case .q4_1: FourBitGroup(q4_1: encoded + h * source.format.blockBytes)
                default:
                    FourBitGroup(row.baseAddress! + at, importance: importance.baseAddress! + at)
                }
            guard let group else { return false }
            group.store(in: block + h * FourBitRows.recordBytes, lane: lane)
        }
        return true
    }
}

extension FourBitGroup {
    /// Puts the group where row `lane` of a block has it.
    func store(in record: UnsafeMutableRawPointer, lane: Int) {
        record.storeBytes(of: d, toByteOffset: 2 * lane, as: UInt16.self)
        record.storeBytes(of: m, toByteOffset: 32 + 2 * lane, as: UInt16.self)
        for k in 0..<4 {
            for i in 0..<4 {
                let byte = q[8 * k + i] | q[8 * k + 4 + i] << 4
                record.storeBytes(of: byte, toByteOffset: 64 + 64 * k + 4 * lane + i, as: UInt8.self)
            }
        }
    }
}
