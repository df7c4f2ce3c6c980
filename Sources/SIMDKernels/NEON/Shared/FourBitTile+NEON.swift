// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// 4-bit weights for many tokens: a tile is one block, unpacked to one byte per weight, and multiplied by four tokens at a
// time, eight of its rows after the other eight: the registers hold no more.

import KernelTable
import _Builtin_intrinsics.arm.neon

/// For each half group the tile has eight times 64 bytes, the four inputs of sixteen rows, then d and m as floats.
let tileBlocks = 1
let blockTileTokens = 8

func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    @inline(__always) func store(_ v: Quads, _ p: UnsafeMutableRawPointer) {
        p.storeBytes(of: v.0, as: int8x16_t.self)
        (p + 16).storeBytes(of: v.1, as: int8x16_t.self)
        (p + 32).storeBytes(of: v.2, as: int8x16_t.self)
        (p + 48).storeBytes(of: v.3, as: int8x16_t.self)
    }
    var record = w.blocks + (first &>> 4) &* w.blockBytes
    var to = tile
    for _ in 0..<2 &* w.groups {
        for k in 0..<4 {
            let quads = loadQuads(record + (64 &+ 64 &* k))
            store(lowNibbles(quads), to + 128 &* k)
            store(highNibbles(quads), to + (128 &* k &+ 64))
        }
        for k in 0..<8 {
            let floats = vcvt_f32_f16((record + 8 &* k).loadUnaligned(as: float16x4_t.self))
            (to + (512 &+ 16 &* k)).storeBytes(of: floats, as: float32x4_t.self)
        }
        record += FourBitRows.recordBytes
        to += FourBitRows.tileRecordBytes
    }
}

func blockTileDots(
    _ tile: UnsafeRawPointer, _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ halves: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    withUnsafeTemporaryAllocation(of: EightTimesFour.self, capacity: 1) { partial in
        let partial = partial.baseAddress!
        var t = 0
        while t < tokens {
            let some = fourTokens(from: t, of: tokens)
            let low = eightRows(tile, x, halves, some, partial), high = eightRows(tile + 32, x, halves, some, partial)
            let out = out + t &* outStride
            finishBlock(together(low.0, high.0), w, first, count, out)
            if t &+ 1 < tokens { finishBlock(together(low.1, high.1), w, first, count, out + outStride) }
            if t &+ 2 < tokens { finishBlock(together(low.2, high.2), w, first, count, out + 2 &* outStride) }
            if t &+ 3 < tokens { finishBlock(together(low.3, high.3), w, first, count, out + 3 &* outStride) }
            t &+= 4
        }
    }
}

@inline(__always)
private func together(_ low: Eight, _ high: Eight) -> F16 { together((low.0, low.1, high.0, high.1)) }

/// Eight rows of a tile times four tokens; the rows' first weights are at `tile`.
@inline(never)
private func eightRows(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ tokens: FourTokens,
    _ partial: UnsafeMutablePointer<EightTimesFour>
) -> EightTimesFour {
    let n = x.groups
    @inline(__always) func values(_ t: Int) -> UnsafeRawPointer { UnsafeRawPointer(x.values + t &* n &* groupSize) }
    var va = values(tokens.0), vb = values(tokens.1), vc = values(tokens.2), vd = values(tokens.3)
    var w = tile
    return addGroups(n, pointers(x.scales, n, tokens), pointers(halves, 2 &* n, tokens), partial) { _, inputs in
        let sums = eightSums(w, va, vb, vc, vd)
        let d = loadEight(w + 512), m = loadEight(w + 576)
        w += FourBitRows.tileRecordBytes
        va += halfGroupSize
        vb += halfGroupSize
        vc += halfGroupSize
        vd += halfGroupSize
        @inline(__always) func add(_ sums: EightSums, _ inputs: Float) -> Eight {
            scaled((sums.0.total, sums.1.total), d, m, inputs)
        }
        return (add(sums.0, inputs.0), add(sums.1, inputs.1), add(sums.2, inputs.2), add(sums.3, inputs.3))
    }
}

private typealias EightSums = (QuadSums, QuadSums)

/// The integer sums of a half group.
@inline(__always)
private func eightSums(
    _ w: UnsafeRawPointer, _ va: UnsafeRawPointer, _ vb: UnsafeRawPointer, _ vc: UnsafeRawPointer,
    _ vd: UnsafeRawPointer
) -> (EightSums, EightSums, EightSums, EightSums) {
    var a = (QuadSums(), QuadSums()), b = a, c = a, d = a
    for k in 0..<2 {
        let xa = inputs(va + 16 &* k), xb = inputs(vb + 16 &* k), xc = inputs(vc + 16 &* k), xd = inputs(vd + 16 &* k)
        @inline(__always) func step(_ i: Int) {
            let at = w + 64 &* (4 &* k &+ i), low = load16(at), high = load16(at + 16)
            @inline(__always) func add(_ sums: inout EightSums, _ x: int32x4_t) {
                sums.0.add(low, four(x, i))
                sums.1.add(high, four(x, i))
            }
            add(&a, xa)
            add(&b, xb)
            add(&c, xc)
            add(&d, xd)
        }
        step(0)
        step(1)
        step(2)
        step(3)
    }
    return (a, b, c, d)
}
#endif
