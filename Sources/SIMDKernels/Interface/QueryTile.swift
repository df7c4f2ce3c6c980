// SPDX-License-Identifier: Apache-2.0

/// Up to four queries that read the same keys and values together: heads that share them, tokens that follow
/// each other, or both. Each key and value is then loaded and widened once for all of them.
///
/// Heads are padded with zeros to `width`, a multiple of 16. Values lie position by position. Keys lie in blocks of
/// sixteen positions, so that one register has sixteen positions side by side and no sum ever crosses lanes:
///
///     keys[(t & ~15) * width + place(j, width) * 16 + (t & 15)]       dimension j of position t
///
/// The last block of keys is there as a whole; what its positions past the end hold does not matter, as long as it
/// is finite.
package struct QueryTile {
    /// A query for each row.
    package var queries: UnsafePointer<Float>
    /// The scores, or weights, of each row, with room for its count rounded up to a multiple of 16.
    package var scores: UnsafeMutablePointer<Float>
    /// From one row to the next, of queries, of scores and of what `WeightedValues` writes. (One distance for all, and
    /// not `width`: the compiler gathers queries whose distances it knows, which is slower than to broadcast each.)
    package var stride: Int
    package var width: Int
    /// 1 to `most`.
    package var rows: Int
    /// Positions that each query sees, ascending; the last is at least 1.
    package var counts: SIMD4<Int>

    /// Rows of a full tile.
    @inlinable @inline(__always)
    package static var most: Int { 4 }
    /// Positions in a block of keys.
    @inlinable @inline(__always)
    package static var keyBlock: Int { 16 }

    @inlinable @inline(__always)
    package init(
        queries: UnsafePointer<Float>, scores: UnsafeMutablePointer<Float>, stride: Int, width: Int, rows: Int = 0,
        counts: SIMD4<Int> = .zero
    ) {
        self.queries = queries
        self.scores = scores
        self.stride = stride
        self.width = width
        self.rows = rows
        self.counts = counts
    }

    /// Where dimension j of a key lies in its block: lane by lane of the contract's lane sum, the lanes in the order
    /// in which its tree meets them, so that the kernels read a block from its beginning to its end.
    @inlinable @inline(__always)
    package static func place(_ j: Int, _ width: Int) -> Int {
        // The lane's four bits reversed: 0, 8, 4, 12, 2, 10, ...
        let lane = (j & 1) << 3 | (j & 2) << 1 | (j & 4) >> 1 | (j & 8) >> 3
        return lane * (width >> 4) + (j >> 4)
    }
}
