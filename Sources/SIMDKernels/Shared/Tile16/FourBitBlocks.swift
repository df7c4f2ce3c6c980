// SPDX-License-Identifier: Apache-2.0

// Compiled for sets whose tile of 4-bit weights is one block, one byte per weight (AVX2 and SSE4.1). The per-ISA
// primitives: sixteen rows' next four inputs as `Quads` (`loadQuads`, `storeQuads`, `lowNibbles`, `highNibbles`), four
// activations to multiply them by (`spreadFour`), and the sums of a half group (`QuadProducts`: `noProducts`,
// `addProducts`, `scaled`). Tuples and functions, since a struct that files share would bring weak symbols (Tests,
// KernelObjectTests).

import KernelTable

/// For each half group the tile has eight times 64 bytes, the four inputs of sixteen rows, then d and m as floats.
let tileBlocks = 1
let blockTileTokens = 8

/// What a half group of sixteen rows adds, without the activations' scale.
@inline(__always)
func halfGroup(_ record: UnsafeRawPointer, _ values: UnsafeRawPointer, _ sum: Float) -> F16 {
    var p = noProducts()
    for k in 0..<4 {
        let quads = loadQuads(record + (64 &+ 64 &* k))
        p = addProducts(p, lowNibbles(quads), spreadFour(values + 8 &* k))
        p = addProducts(p, highNibbles(quads), spreadFour(values + (8 &* k &+ 4)))
    }
    let scales = record.assumingMemoryBound(to: UInt16.self)
    return scaled(p, loadHalves(scales), loadHalves(scales + 16), sum)
}

func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    var record = w.blocks + (first &>> 4) &* w.blockBytes
    var to = tile
    for _ in 0..<2 &* w.groups {
        for k in 0..<4 {
            let quads = loadQuads(record + (64 &+ 64 &* k))
            storeQuads(lowNibbles(quads), to + 128 &* k)
            storeQuads(highNibbles(quads), to + (128 &* k &+ 64))
        }
        let scales = record.assumingMemoryBound(to: UInt16.self)
        (to + 512).storeBytes(of: loadHalves(scales), as: F16.self)
        (to + 576).storeBytes(of: loadHalves(scales + 16), as: F16.self)
        record += FourBitRows.recordBytes
        to += FourBitRows.tileRecordBytes
    }
}

func blockTileDots(
    _ tile: UnsafeRawPointer, _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ halves: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var t = 0
    while t < tokens {
        // A last odd token is computed twice over.
        let other = Swift.min(t &+ 1, tokens &- 1)
        let (a, b) = two(tile, x, halves, t, other)
        finishBlock(a, w, first, count, out + t &* outStride)
        if other > t { finishBlock(b, w, first, count, out + other &* outStride) }
        t &+= 2
    }
}

@inline(__always)
private func two(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ t: Int, _ u: Int
) -> (F16, F16) {
    var ya = F16.zero, yb = F16.zero
    let n = x.groups
    var w = tile
    var va = UnsafeRawPointer(x.values) + t &* n &* groupSize
    var vb = UnsafeRawPointer(x.values) + u &* n &* groupSize
    @inline(__always) func halfGroup(_ sa: Float, _ sb: Float) -> (F16, F16) {
        var a = noProducts(), b = noProducts()
        eightTimes { i in
            let quads = loadQuads(w + 64 &* i)
            a = addProducts(a, quads, spreadFour(va + 4 &* i))
            b = addProducts(b, quads, spreadFour(vb + 4 &* i))
        }
        let d = (w + 512).loadUnaligned(as: F16.self), m = (w + 576).loadUnaligned(as: F16.self)
        w += 640
        va += halfGroupSize
        vb += halfGroupSize
        return (scaled(a, d, m, sa), scaled(b, d, m, sb))
    }
    let ha = halves + 2 &* t &* n, hb = halves + 2 &* u &* n
    for g in 0..<n {
        let (a0, b0) = halfGroup(ha[2 &* g], hb[2 &* g])
        let (a1, b1) = halfGroup(ha[2 &* g &+ 1], hb[2 &* g &+ 1])
        ya += (a0 + a1) * x.scales[t &* n &+ g]
        yb += (b0 + b1) * x.scales[u &* n &+ g]
    }
    return (ya, yb)
}
