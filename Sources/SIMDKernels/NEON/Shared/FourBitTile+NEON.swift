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
    var t = 0
    while t < tokens {
        // Tokens past the end are the last one again.
        let last = tokens &- 1
        let (a, b, c, d) = fourTokens(
            tile, x, halves, (t, Swift.min(t &+ 1, last), Swift.min(t &+ 2, last), Swift.min(t &+ 3, last)))
        let out = out + t &* outStride
        finishBlock(a, w, first, count, out)
        if t < last { finishBlock(b, w, first, count, out + outStride) }
        if t &+ 1 < last { finishBlock(c, w, first, count, out + 2 &* outStride) }
        if t &+ 2 < last { finishBlock(d, w, first, count, out + 3 &* outStride) }
        t &+= 4
    }
}

private func fourTokens(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ tokens: (Int, Int, Int, Int)
) -> (F16, F16, F16, F16) {
    let low = eightRows(tile, x, halves, tokens), high = eightRows(tile + 32, x, halves, tokens)
    return (
        F16(lowHalf: low.0, highHalf: high.0), F16(lowHalf: low.1, highHalf: high.1),
        F16(lowHalf: low.2, highHalf: high.2), F16(lowHalf: low.3, highHalf: high.3)
    )
}

private typealias EightTimesFour = (Eight, Eight, Eight, Eight)

/// Eight rows of a tile times four tokens; the rows' first weights are at `tile`.
@inline(never)
private func eightRows(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ tokens: (Int, Int, Int, Int)
) -> (SIMD8<Float>, SIMD8<Float>, SIMD8<Float>, SIMD8<Float>) {
    let n = x.groups
    @inline(__always) func values(_ t: Int) -> UnsafeRawPointer { UnsafeRawPointer(x.values + t &* n &* groupSize) }
    var va = values(tokens.0), vb = values(tokens.1), vc = values(tokens.2), vd = values(tokens.3)
    @inline(__always) func pairs(_ t: Int) -> UnsafePointer<SIMD2<Float>> {
        UnsafeRawPointer(halves + 2 &* n &* t).assumingMemoryBound(to: SIMD2<Float>.self)
    }
    let ha = pairs(tokens.0), hb = pairs(tokens.1), hc = pairs(tokens.2), hd = pairs(tokens.3)
    let sa = x.scales + n &* tokens.0, sb = x.scales + n &* tokens.1
    let sc = x.scales + n &* tokens.2, sd = x.scales + n &* tokens.3
    var w = tile
    @inline(__always) func halfGroup(_ a: Float, _ b: Float, _ c: Float, _ d: Float) -> EightTimesFour {
        let sums = eightSums(w, va, vb, vc, vd)
        let scales = pair(w + 512), offsets = pair(w + 576)
        w += FourBitRows.tileRecordBytes
        va += halfGroupSize
        vb += halfGroupSize
        vc += halfGroupSize
        vd += halfGroupSize
        return (
            scaled(sums.0, scales, offsets, a), scaled(sums.1, scales, offsets, b),
            scaled(sums.2, scales, offsets, c), scaled(sums.3, scales, offsets, d)
        )
    }
    // In memory: the registers hold the products and sums of one half group beside those of the other, not the totals, too.
    return withUnsafeTemporaryAllocation(of: SIMD8<Float>.self, capacity: 4) { totals in
        let totals = totals.baseAddress!
        for t in 0..<4 { totals[t] = .zero }
        for g in 0..<n {
            let a = ha[g], b = hb[g], c = hc[g], d = hd[g]
            let p = halfGroup(a[0], b[0], c[0], d[0]), q = halfGroup(a[1], b[1], c[1], d[1])
            add(p.0, q.0, times: sa[g], to: totals)
            add(p.1, q.1, times: sb[g], to: totals + 1)
            add(p.2, q.2, times: sc[g], to: totals + 2)
            add(p.3, q.3, times: sd[g], to: totals + 3)
        }
        return (totals[0], totals[1], totals[2], totals[3])
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

@inline(__always)
private func pair(_ p: UnsafeRawPointer) -> Eight {
    (p.loadUnaligned(as: float32x4_t.self), (p + 16).loadUnaligned(as: float32x4_t.self))
}

/// (Fused as in FourBit+NEON.swift.)
@inline(__always)
private func scaled(_ sums: EightSums, _ d: Eight, _ m: Eight, _ inputs: Float) -> Eight {
    (
        vfmaq_n_f32(vmulq_f32(vcvtq_f32_s32(sums.0.total), d.0), m.0, inputs),
        vfmaq_n_f32(vmulq_f32(vcvtq_f32_s32(sums.1.total), d.1), m.1, inputs)
    )
}

/// Adds `(p + q) * scale`.
@inline(__always)
private func add(_ p: Eight, _ q: Eight, times scale: Float, to totals: UnsafeMutablePointer<SIMD8<Float>>) {
    let halves = UnsafeMutableRawPointer(totals).assumingMemoryBound(to: float32x4_t.self)
    halves[0] = vaddq_f32(halves[0], vmulq_n_f32(vaddq_f32(p.0, q.0), scale))
    halves[1] = vaddq_f32(halves[1], vmulq_n_f32(vaddq_f32(p.1, q.1), scale))
}
#endif
