// The contract for 4-bit weights in plain Swift, sixteen rows at a time.

import KernelTable

let tileBlocks = 1

func fourBitDots(
    _ w: FourBitRows, _ rows: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ halves: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>
) {
    forEachBlock(w, rows, first, count, out) { dots($0, x, halves) }
}

/// One block times one token.
private func dots(_ block: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>) -> F16 {
    var acc = F16.zero
    for g in 0..<x.groups {
        let values = x.values + g &* groupSize
        let record = block + 2 &* g &* FourBitRows.recordBytes
        acc += (
            half(record, values, halves[2 &* g])
                + half(record + FourBitRows.recordBytes, values + halfGroupSize, halves[2 &* g &+ 1])
        ) * x.scales[g]
    }
    return acc
}

/// What a half group of sixteen rows adds, without the activations' scale.
@inline(__always)
private func half(_ record: UnsafeRawPointer, _ values: UnsafePointer<Int8>, _ sum: Float) -> F16 {
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
        finishBlock(dots(tile, row, halves + 2 &* t &* x.groups), w, first, count, out + t &* outStride)
    }
}
