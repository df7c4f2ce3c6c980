// SPDX-License-Identifier: Apache-2.0

/// A quantized matrix that lives in memory owned by somebody else.
///
/// The value of row r and column c is `Float(weights[r * stride + c])` times a
/// scale: `scales[r]` for matrices with one scale a row, `scales[c]` for the
/// down projections of feed-forward layers, which are stored neuron-major.
/// Columns from `cols` up to `stride` are zeros.
///
/// Scales may be read, but mean nothing, up to the next multiple of 16.
/// The pointers are valid only as long as the file the matrix came from is kept.
package struct Matrix: @unchecked Sendable {
    /// Rows stored.
    package let rows: Int
    /// Columns with a meaning, at most `stride`.
    package let cols: Int
    /// Bytes from a row to the next: a multiple of 64.
    package let stride: Int
    /// `rows * stride` weights, 64-byte aligned.
    package let weights: UnsafePointer<Int8>
    /// One scale a row (or a column, see above), 64-byte aligned.
    package let scales: UnsafePointer<Float>

    /// Wraps memory the caller keeps alive.
    package init(
        rows: Int, cols: Int, stride: Int, weights: UnsafePointer<Int8>,
        scales: UnsafePointer<Float>
    ) {
        precondition(cols <= stride && stride % Matrix.alignment == 0)
        self.rows = rows
        self.cols = cols
        self.stride = stride
        self.weights = weights
        self.scales = scales
    }

    /// Alignment of rows, in bytes: a cache line, and the widest vector there is.
    package static let alignment = 64

    /// `cols` rounded up to a whole number of 64-byte pieces.
    package static func stride(forColumns cols: Int) -> Int {
        (cols + alignment - 1) / alignment * alignment
    }
}
