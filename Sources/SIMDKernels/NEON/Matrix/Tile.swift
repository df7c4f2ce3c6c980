// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
import KernelTable
import _Builtin_intrinsics.arm.neon

let tileRows = 16

func packRows(
    _ w: WeightRows, _ first: Int, _ count: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    for pair in 0..<8 {
        // Rows past the end are repeats; nobody stores their sums.
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
            let r = first &+ Swift.min(2 &* pair &+ k, count &- 1)
            return UnsafeRawPointer(w.weights + r &* w.stride)
        }
        let a = row(0), b = row(1)
        for k in 0..<groups &* 4 {
            let both = bothTokens(a + 16 &* k, b + 16 &* k)
            let to = tile + (256 &* k &+ 16 &* pair)
            to.storeBytes(of: both.0, as: int8x16_t.self)
            (to + 128).storeBytes(of: both.1, as: int8x16_t.self)
        }
    }
}

func packColumns(
    _ w: WeightRows, _ neuronCount: Int, _ first: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    // Neurons past the end are repeats: their activations are zero.
    let last = neuronCount &- 1
    for step in 0..<groups &* 8 {
        @inline(__always) func row(_ k: Int) -> int8x16_t {
            load16(UnsafeRawPointer(w.weights + Swift.min(step &* 8 &+ k, last) &* w.stride + first))
        }
        // Columns by neurons, transposed: byte by byte, then two by two, then four by four.
        let a0 = row(0), a1 = row(1), a2 = row(2), a3 = row(3), a4 = row(4), a5 = row(5), a6 = row(6), a7 = row(7)
        let low = transposed(
            (vzip1q_s8(a0, a1), vzip1q_s8(a2, a3), vzip1q_s8(a4, a5), vzip1q_s8(a6, a7)))
        let high = transposed(
            (vzip2q_s8(a0, a1), vzip2q_s8(a2, a3), vzip2q_s8(a4, a5), vzip2q_s8(a6, a7)))
        let to = (tile + 128 &* step).assumingMemoryBound(to: int32x4_t.self)
        (to[0], to[1], to[2], to[3]) = low
        (to[4], to[5], to[6], to[7]) = high
    }
}

/// Eight columns of eight neurons, from pairs of neurons to two columns in a register.
@inline(__always)
private func transposed(
    _ v: (int8x16_t, int8x16_t, int8x16_t, int8x16_t)
) -> (int32x4_t, int32x4_t, int32x4_t, int32x4_t) {
    @inline(__always) func zips(_ a: int8x16_t, _ b: int8x16_t) -> (int32x4_t, int32x4_t) {
        let a = unsafeBitCast(a, to: int16x8_t.self), b = unsafeBitCast(b, to: int16x8_t.self)
        return (
            unsafeBitCast(vzip1q_s16(a, b), to: int32x4_t.self), unsafeBitCast(vzip2q_s16(a, b), to: int32x4_t.self)
        )
    }
    let (a, b) = zips(v.0, v.1), (c, d) = zips(v.2, v.3)
    return (vzip1q_s32(a, c), vzip2q_s32(a, c), vzip1q_s32(b, d), vzip2q_s32(b, d))
}

func tileDots(
    _ tile: UnsafeRawPointer, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ tokens: Int, _ next: UnsafeRawPointer?, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var t = 0
    while t < tokens {
        // Tokens past the end are the last one again.
        let last = tokens &- 1
        let some = (t, Swift.min(t &+ 1, last), Swift.min(t &+ 2, last), Swift.min(t &+ 3, last))
        for half in 0..<(count > 8 ? 2 : 1) {
            let i = 8 &* half
            let (ab, cd) = eightRows(tile + 8 &* i, x, some, t == 0 ? next.map { $0 + i &* groupSize } : nil)
            let out = out + (t &* outStride &+ i), scales = w.scales + (first &+ i),
                bias = w.bias.map { $0 + (first &+ i) }
            store(ab, scales, bias, count &- i, out, t < last ? out + outStride : nil)
            guard t &+ 1 < last else { continue }
            store(
                cd, scales, bias, count &- i, out + 2 &* outStride, t &+ 2 < last ? out + 3 &* outStride : nil)
        }
        t &+= 4
    }
}

/// Eight rows of a tile times four tokens. `next` are the rows to prefetch meanwhile.
@inline(never)
private func eightRows(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ tokens: (Int, Int, Int, Int), _ next: UnsafeRawPointer?
) -> (PairTotals, PairTotals) {
    let n = x.groups
    @inline(__always) func values(_ t: Int) -> UnsafeRawPointer { UnsafeRawPointer(x.values + t &* n &* groupSize) }
    let va = values(tokens.0), vb = values(tokens.1), vc = values(tokens.2), vd = values(tokens.3)
    let sa = x.scales + n &* tokens.0, sb = x.scales + n &* tokens.1
    let sc = x.scales + n &* tokens.2, sd = x.scales + n &* tokens.3
    var ab: PairTotals = (.zero, .zero, .zero, .zero), cd = ab
    for g in 0..<n {
        if let next { for k in 0..<8 { prefetch(next + (g &* 16 &+ k) &* 64) } }
        let at = g &* groupSize
        let sums = pairSums(tile + tileRows &* at, 4, va + at, vb + at, vc + at, vd + at)
        ab = adding(sums.0, both(sa[g], sb[g]), ab)
        cd = adding(sums.1, both(sc[g], sd[g]), cd)
    }
    return (ab, cd)
}

@inline(__always)
private func adding(_ sums: PairSums, _ scales: float32x4_t, _ totals: PairTotals) -> PairTotals {
    @inline(__always) func one(_ sums: int32x4_t, _ total: float32x4_t) -> float32x4_t {
        vaddq_f32(total, vmulq_f32(vcvtq_f32_s32(sums), scales))
    }
    return (one(sums.0, totals.0), one(sums.1, totals.1), one(sums.2, totals.2), one(sums.3, totals.3))
}
#endif
