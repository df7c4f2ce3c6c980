// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
import KernelTable
import _Builtin_intrinsics.arm.neon

/// For each half group the tile has four times 128 bytes, eight inputs of sixteen rows, then d and m as floats.
let tileBlocks = 1

func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    var record = w.blocks + (first &>> 4) &* w.blockBytes
    var to = tile
    for _ in 0..<2 &* w.groups {
        for k in 0..<4 {
            for r in 0..<4 {
                // Four rows: their first four inputs in the low nibbles, the other four in the high ones.
                let v = (record + (64 &+ 64 &* k &+ 16 &* r)).loadUnaligned(as: uint8x16_t.self)
                let low = unsafeBitCast(vandq_u8(v, uint8x16_t(repeating: 15)), to: int32x4_t.self)
                let high = unsafeBitCast(vshlq_u8(v, int8x16_t(repeating: -4)), to: int32x4_t.self)
                let pairs = to + (128 &* k &+ 32 &* r)
                pairs.storeBytes(of: vzip1q_s32(low, high), as: int32x4_t.self)
                (pairs + 16).storeBytes(of: vzip2q_s32(low, high), as: int32x4_t.self)
            }
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
        let some = (t, Swift.min(t &+ 1, last), Swift.min(t &+ 2, last), Swift.min(t &+ 3, last))
        for half in 0..<(count > 8 ? 2 : 1) {
            let i = 8 &* half
            let (ab, cd) = eightRows(tile, half, x, halves, some)
            let out = out + (t &* outStride &+ i), bias = w.bias.map { $0 + (first &+ i) }
            store(ab, nil, bias, count &- i, out, t < last ? out + outStride : nil)
            guard t &+ 1 < last else { continue }
            store(cd, nil, bias, count &- i, out + 2 &* outStride, t &+ 2 < last ? out + 3 &* outStride : nil)
        }
        t &+= 4
    }
}

/// Eight rows of a tile, the first or the second, times four tokens.
@inline(never)
private func eightRows(
    _ tile: UnsafeRawPointer, _ half: Int, _ x: QuantizedRows, _ halves: UnsafePointer<Float>,
    _ tokens: (Int, Int, Int, Int)
) -> (PairTotals, PairTotals) {
    let n = x.groups
    @inline(__always) func values(_ t: Int) -> UnsafeRawPointer { UnsafeRawPointer(x.values + t &* n &* groupSize) }
    let va = values(tokens.0), vb = values(tokens.1), vc = values(tokens.2), vd = values(tokens.3)
    let ha = halves + 2 &* n &* tokens.0, hb = halves + 2 &* n &* tokens.1
    let hc = halves + 2 &* n &* tokens.2, hd = halves + 2 &* n &* tokens.3
    let sa = x.scales + n &* tokens.0, sb = x.scales + n &* tokens.1
    let sc = x.scales + n &* tokens.2, sd = x.scales + n &* tokens.3
    var ab: PairTotals = (.zero, .zero, .zero, .zero), cd = ab
    @inline(__always) func halfGroup(_ h: Int) -> (PairTotals, PairTotals) {
        let at = h &* halfGroupSize, record = tile + h &* FourBitRows.tileRecordBytes
        let sums = pairSums(record + 64 &* half, 2, va + at, vb + at, vc + at, vd + at)
        let floats = record + (512 &+ 32 &* half)
        return (
            scaled(sums.0, floats, both(ha[h], hb[h])), scaled(sums.1, floats, both(hc[h], hd[h]))
        )
    }
    for g in 0..<n {
        let p = halfGroup(2 &* g), q = halfGroup(2 &* g &+ 1)
        ab = adding(p.0, q.0, both(sa[g], sb[g]), ab)
        cd = adding(p.1, q.1, both(sc[g], sd[g]), cd)
    }
    return (ab, cd)
}

/// `Float(sum) * d + m * inputs` of eight rows, whose d are at `floats`, and whose m are 64 bytes after them. (Fused, which
/// rounds alike: m times the inputs' sum is exact, docs/NUMERICS.md, 11.)
@inline(__always)
private func scaled(_ sums: PairSums, _ floats: UnsafeRawPointer, _ inputs: float32x4_t) -> PairTotals {
    @inline(__always) func one(_ sums: int32x4_t, _ d: int64x2_t, _ m: int64x2_t, _ k: Int) -> float32x4_t {
        let d = unsafeBitCast(int64x2_t(repeating: d[k]), to: float32x4_t.self)
        let m = unsafeBitCast(int64x2_t(repeating: m[k]), to: float32x4_t.self)
        return vfmaq_f32(vmulq_f32(vcvtq_f32_s32(sums), d), m, inputs)
    }
    @inline(__always) func rows(_ at: Int) -> int64x2_t { (floats + at).loadUnaligned(as: int64x2_t.self) }
    let d = rows(0), e = rows(16), m = rows(64), n = rows(80)
    return (one(sums.0, d, m, 0), one(sums.1, d, m, 1), one(sums.2, e, n, 0), one(sums.3, e, n, 1))
}

@inline(__always)
private func adding(_ p: PairTotals, _ q: PairTotals, _ scales: float32x4_t, _ totals: PairTotals) -> PairTotals {
    @inline(__always) func one(_ p: float32x4_t, _ q: float32x4_t, _ total: float32x4_t) -> float32x4_t {
        vaddq_f32(total, vmulq_f32(vaddq_f32(p, q), scales))
    }
    return (
        one(p.0, q.0, totals.0), one(p.1, q.1, totals.1), one(p.2, q.2, totals.2), one(p.3, q.3, totals.3)
    )
}
#endif
