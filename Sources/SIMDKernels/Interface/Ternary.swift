// SPDX-License-Identifier: Apache-2.0

/// The kernels for ternary weights (docs/NUMERICS.md, 12).
package struct TernaryKernels: Sendable {
    package let rowDots: TernaryDots
    package let unpackRows: UnpackTernaryRows

    package init(rowDots: @escaping TernaryDots, unpackRows: @escaping UnpackTernaryRows) {
        self.rowDots = rowDots
        self.unpackRows = unpackRows
    }
}

/// Weights -1, 0 and 1 with one scale per output, as the kernels see them: rows of runs of 64 bytes, in each of which byte i
/// holds the columns i, i + 64, i + 128 and i + 192 of 256, lowest two bits first, plus one.
package struct TernaryRows {
    /// 64-byte aligned.
    package var weights: UnsafeRawPointer
    /// Bytes from one row to the next, 64 for each 256 columns.
    package var stride: Int
    package var scales: UnsafePointer<Float>
    package var bias: UnsafePointer<Float>?

    /// Most rows that `TernaryDots` unpacks at a time.
    @inlinable @inline(__always)
    package static var rowsAtOnce: Int { 16 }

    @inlinable @inline(__always)
    package init(
        weights: UnsafeRawPointer, stride: Int, scales: UnsafePointer<Float>, bias: UnsafePointer<Float>? = nil
    ) {
        self.weights = weights
        self.stride = stride
        self.scales = scales
        self.bias = bias
    }

    /// One weight: -1, 0 or 1.
    package func weight(_ row: Int, _ column: Int) -> Int {
        let at = row * stride + column / 256 * 64 + column % 64
        return Int(weights.load(fromByteOffset: at, as: UInt8.self) >> (column % 256 / 64 * 2) & 3) - 1
    }

    /// Bytes from one unpacked row to the next. The last 64 are not used: rows whose distance is a power of two would share
    /// few places of the cache.
    @inlinable @inline(__always)
    package static func unpackedStride(_ stride: Int) -> Int { 4 &* stride &+ groupSize }

    /// Bytes of scratch that `TernaryDots` needs for such rows.
    @inlinable @inline(__always)
    package static func scratchBytes(stride: Int) -> Int {
        rowsAtOnce &* (unpackedStride(stride) &+ 2 &* MemoryLayout<Float>.size)
    }
}

/// As `RowDots`. `scratch` takes `TernaryRows.scratchBytes`, on a 64-byte boundary.
package typealias TernaryDots =
    @Sendable (
        _ w: TernaryRows, _ rows: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
        _ scratch: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
    ) -> Void

/// Unpacks the rows from `first` on to int8 rows, `TernaryRows.unpackedStride` bytes from one to the next.
package typealias UnpackTernaryRows =
    @Sendable (_ w: TernaryRows, _ first: Int, _ count: Int, _ out: UnsafeMutableRawPointer) -> Void
