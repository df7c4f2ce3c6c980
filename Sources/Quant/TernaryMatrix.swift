// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// A matrix of weights -s, 0 and s in memory owned by somebody else, one s for each row: two bits a weight, row-major (see
/// `TernaryRows` and docs/NUMERICS.md, 12).
///
/// The pointers are valid only as long as the file the matrix came from is kept.
package struct TernaryMatrix: @unchecked Sendable {
    package let rows: Int
    /// Columns with a meaning; those beyond are zeros.
    package let cols: Int
    /// `rows * stride(forColumns: cols)` bytes, 64-byte aligned.
    package let weights: UnsafeRawPointer
    /// One scale a row, 64-byte aligned.
    package let scales: UnsafePointer<Float>

    /// Wraps memory the caller keeps alive.
    package init(rows: Int, cols: Int, weights: UnsafeRawPointer, scales: UnsafePointer<Float>) {
        self.rows = rows
        self.cols = cols
        self.weights = weights
        self.scales = scales
    }

    /// Bytes from a row to the next.
    package var stride: Int { TernaryMatrix.stride(forColumns: cols) }

    /// Bytes of a row of so many columns: 64 for each 256 of them.
    package static func stride(forColumns cols: Int) -> Int { (cols + 255) / 256 * 64 }

    /// The first byte that holds a 3, which is no weight; nil if none does. O(size), vectorizes.
    package static func firstInvalidByte(in bytes: UnsafeRawBufferPointer) -> Int? {
        var found: UInt8 = 0
        for byte in bytes { found |= byte & byte >> 1 & 0x55 }
        return found == 0 ? nil : bytes.firstIndex { $0 & $0 >> 1 & 0x55 != 0 }
    }
}

/// The magnitude of a row's weights that are not zero; 0 if all are, and nil if they differ in it or are not finite.
private func ternaryScale(_ row: UnsafePointer<Float>, _ count: Int) -> Float? {
    var scale: Float = 0
    for i in 0..<count { scale = max(scale, row[i].magnitude) }
    guard scale.isFinite else { return nil }
    var areTernary = true
    for i in 0..<count { areTernary = areTernary && (row[i] == 0 || row[i].magnitude == scale) }
    return areTernary ? scale : nil
}

/// Whether the weights of each row are all -s, 0 or s.
///
/// Cost: reads the rows on all cores, and few more after the first one that is different.
/// - Parameters:
///   - count: rows to look at.
///   - sourceRow: the row of `source` that is the r-th of them.
package func isTernary(_ source: EncodedMatrix, count: Int, sourceRow: @Sendable (Int) -> Int) -> Bool {
    let step = 4096
    for first in stride(from: 0, to: count, by: step) {
        let bad = firstBadRow(rows: min(step, count - first)) { some in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: source.cols) { row in
                for r in some {
                    source.decode(row: sourceRow(first + r), into: row.baseAddress!)
                    if ternaryScale(row.baseAddress!, source.cols) == nil { return r }
                }
                return nil
            }
        }
        if bad != nil { return false }
    }
    return true
}

/// Stores rows of weights -s, 0 and s with two bits a weight, on all cores.
/// - Parameters:
///   - count: rows of the result.
///   - sourceRow: the row of `source` that becomes row r of the result.
///   - weights: room for `count * TernaryMatrix.stride(forColumns: source.cols)` bytes.
///   - scales: room for one float a row.
/// - Returns: the first source row that has other weights, or such as are not finite; or nil.
package func storeTernary(
    _ source: EncodedMatrix, count: Int, sourceRow: @Sendable (Int) -> Int, weights: UnsafeMutableRawPointer,
    scales: UnsafeMutablePointer<Float>
) -> Int? {
    nonisolated(unsafe) let (weights, scales) = (weights, scales)
    let bytes = TernaryMatrix.stride(forColumns: source.cols)
    return firstBadRow(rows: count) { some in
        // Columns beyond the end are zeros.
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 4 * bytes) { row in
            row.initialize(repeating: 0)
            var bad: Int?
            for r in some {
                let from = sourceRow(r)
                source.decode(row: from, into: row.baseAddress!)
                let scale = ternaryScale(row.baseAddress!, source.cols)
                if scale == nil, bad == nil { bad = from }
                scales[r] = scale ?? 0
                pack(row.baseAddress!, into: weights + r * bytes, bytes)
            }
            return bad
        }
    }
}

private func pack(_ row: UnsafePointer<Float>, into out: UnsafeMutableRawPointer, _ bytes: Int) {
    @inline(__always) func code(_ w: Float) -> UInt8 { (w > 0 ? 2 : 1) - (w < 0 ? 1 : 0) }
    for at in 0..<bytes {
        let w = row + (at / 64 * 256 + at % 64)
        let byte = code(w[0]) | code(w[64]) << 2 | code(w[128]) << 4 | code(w[192]) << 6
        out.storeBytes(of: byte, toByteOffset: at, as: UInt8.self)
    }
}
