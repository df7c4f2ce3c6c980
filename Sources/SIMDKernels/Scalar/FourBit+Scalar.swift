// SPDX-License-Identifier: Apache-2.0

// The contract for 4-bit weights in scalar Swift, sixteen rows at a time.

import KernelTable

let tileBlocks = 1
let blockTileTokens = 8

/// What a half group of sixteen rows adds, without the activations' scale.
@inline(__always)
func halfGroup(_ record: UnsafeRawPointer, _ values: UnsafeRawPointer, _ sum: Float) -> F16 {
    let values = values.assumingMemoryBound(to: Int8.self)
    var products = I16.zero
    for k in 0..<4 {
        let bytes = (record + (64 &+ 64 &* k)).loadUnaligned(as: SIMD64<UInt8>.self)
        for i in 0..<4 {
            let low = Int32(values[8 &* k &+ i]), high = Int32(values[8 &* k &+ 4 &+ i])
            for r in 0..<16 {
                let byte = Int32(bytes[4 &* r &+ i])
                products[r] &+= (byte & 15) &* low &+ (byte &>> 4) &* high
            }
        }
    }
    var integers = F16.zero
    for r in 0..<16 { integers[r] = Float(products[r]) }
    let scales = record.assumingMemoryBound(to: UInt16.self)
    return integers * loadHalves(scales) + loadHalves(scales + 16) * sum
}

/// A tile is the block as it lies.
func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    tile.copyMemory(from: w.blocks + (first &>> 4) &* w.blockBytes, byteCount: w.blockBytes)
}

func blockTileDots(
    _ tile: UnsafeRawPointer, _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ halves: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    for t in 0..<tokens {
        var row = x
        row.values += t &* x.groups &* groupSize
        row.scales += t &* x.groups
        finishBlock(blockDots(tile, row, halves + 2 &* t &* x.groups), w, first, count, out + t &* outStride)
    }
}
