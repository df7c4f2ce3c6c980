// SPDX-License-Identifier: Apache-2.0

/// The kernels for 4-bit weights (docs/NUMERICS.md, 11).
///
/// Sixteen rows form a block, stored in the order in which its kernels read it: for each half group of 32 columns
/// a record of 320 bytes, which holds
///
///     sixteen halves d, sixteen halves m                       one pair per row
///     four times 64 bytes: byte 4 r + i of the k-th belongs to row r; its low nibble is column 8 k + i
///     of the half group, its high nibble column 8 k + 4 + i
///
/// So one register holds sixteen rows, one per lane, four broadcast activations meet it in one dot-product
/// instruction, no sum ever crosses lanes, and a block is one stream of memory. Rows up to a whole block
/// and columns up to a whole group are padded with zeros.
package struct FourBitKernels: Sendable {
    package let halfSums: HalfSums
    package let rowDots: FourBitDots
    /// Blocks in a tile.
    package let tileBlocks: Int
    /// From how many tokens on tiles are faster than `rowDots`.
    package let tileTokens: Int
    package let packRows: PackBlocks
    package let tileDots: BlockTileDots
    package let expandRow: ExpandFourBitRow

    package init(
        halfSums: @escaping HalfSums, rowDots: @escaping FourBitDots, tileBlocks: Int, tileTokens: Int,
        packRows: @escaping PackBlocks, tileDots: @escaping BlockTileDots,
        expandRow: @escaping ExpandFourBitRow
    ) {
        self.halfSums = halfSums
        self.rowDots = rowDots
        self.tileBlocks = tileBlocks
        self.tileTokens = tileTokens
        self.packRows = packRows
        self.tileDots = tileDots
        self.expandRow = expandRow
    }
}

/// Columns that share a pair (d, m).
@inlinable @inline(__always)
package var halfGroupSize: Int { 32 }

/// 4-bit weights, as the kernels see them.
package struct FourBitRows {
    /// Blocks one after another, 64-byte aligned.
    package var blocks: UnsafeRawPointer
    /// Groups of 64 columns in a row.
    package var groups: Int
    package var bias: UnsafePointer<Float>?

    /// Rows in a block.
    @inlinable @inline(__always)
    package static var blockRows: Int { 16 }
    /// Bytes of one half group of a block.
    @inlinable @inline(__always)
    package static var recordBytes: Int { 320 }
    /// Bytes of one half group of a block in a tile: one byte per weight, `Float` d and m.
    @inlinable @inline(__always)
    package static var tileRecordBytes: Int { 640 }

    @inlinable @inline(__always)
    package init(blocks: UnsafeRawPointer, groups: Int, bias: UnsafePointer<Float>? = nil) {
        self.blocks = blocks
        self.groups = groups
        self.bias = bias
    }

    @inlinable @inline(__always)
    package var blockBytes: Int { 2 &* groups &* Self.recordBytes }

    /// Bytes that `tileDots` needs for a tile of that many blocks.
    @inlinable @inline(__always)
    package static func tileBytes(blocks: Int, groups: Int) -> Int { 2 * groups * blocks * tileRecordBytes }
}

/// `out[t * 2 * groups + h]` = the sum of the 32 values of half group h of token t.
package typealias HalfSums =
    @Sendable (
        _ x: QuantizedRows, _ tokens: Int, _ out: UnsafeMutablePointer<Float>
    ) -> Void

/// `out[t * outStride + i] = dot(row r_i, x[t])` for `i < count` and `tokens` tokens, where `r_i` is `rows[i]`, or
/// `first + i` without a list. A block of which one row is wanted is read whole, and from memory once for all tokens if
/// the list ascends. `halves` are the half sums of `x`.
package typealias FourBitDots =
    @Sendable (
        _ w: FourBitRows, _ rows: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
        _ halves: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
    ) -> Void

/// Expands the blocks of `count` rows (at most `tileBlocks` blocks) from row `first` on, a multiple of 16,
/// into a tile for `BlockTileDots`.
package typealias PackBlocks =
    @Sendable (
        _ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer
    ) -> Void

/// One tile times `tokens` tokens: `out[t * outStride + i]` for outputs `first + i`, `i < count`.
package typealias BlockTileDots =
    @Sendable (
        _ tile: UnsafeRawPointer, _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
        _ halves: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
    ) -> Void

/// `out[i] = Float(q[i]) * d + m` for the first `count` columns of a row.
package typealias ExpandFourBitRow =
    @Sendable (
        _ w: FourBitRows, _ row: Int, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) -> Void
