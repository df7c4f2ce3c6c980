// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_SSE41
import KernelTable
import _Builtin_intrinsics.intel

/// A tile is 16 outputs wide: for every four inputs, 16 times the four weights, 64 bytes. A register
/// holds four outputs, four activations meet it in one step, and no sum crosses lanes.
let tileRows = 16
let tileTokens = 8

func packRows(
    _ w: WeightRows, _ first: Int, _ count: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    for four in 0..<4 {
        // Rows past the end are repeats; nobody stores their sums.
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
            UnsafeRawPointer(w.weights + (first &+ Swift.min(four &* 4 &+ k, count &- 1)) &* w.stride)
        }
        let r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3)
        for at in stride(from: 0, to: groups &* groupSize, by: 16) {
            let a = load16(r0 + at), b = load16(r1 + at), c = load16(r2 + at), d = load16(r3 + at)
            let abLow = _mm_unpacklo_epi32(a, b), abHigh = _mm_unpackhi_epi32(a, b)
            let cdLow = _mm_unpacklo_epi32(c, d), cdHigh = _mm_unpackhi_epi32(c, d)
            let to = tile + (at &* 16 &+ four &* 16)
            to.storeBytes(of: _mm_unpacklo_epi64(abLow, cdLow), as: __m128i.self)
            (to + 64).storeBytes(of: _mm_unpackhi_epi64(abLow, cdLow), as: __m128i.self)
            (to + 128).storeBytes(of: _mm_unpacklo_epi64(abHigh, cdHigh), as: __m128i.self)
            (to + 192).storeBytes(of: _mm_unpackhi_epi64(abHigh, cdHigh), as: __m128i.self)
        }
    }
}

func packColumns(
    _ w: WeightRows, _ neuronCount: Int, _ first: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    // Neurons past the end are repeats: their activations are zero.
    let last = neuronCount &- 1
    for quad in 0..<groups &* 16 {
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
            UnsafeRawPointer(w.weights + Swift.min(quad &* 4 &+ k, last) &* w.stride + first)
        }
        let (a, b, c, d) = interleave(row(0), row(1), row(2), row(3))
        let to = tile + quad &* 64
        to.storeBytes(of: a, as: __m128i.self)
        (to + 16).storeBytes(of: b, as: __m128i.self)
        (to + 32).storeBytes(of: c, as: __m128i.self)
        (to + 48).storeBytes(of: d, as: __m128i.self)
    }
}

@inline(__always)
func oneToken(_ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int) -> F16 {
    var total = F16.zero
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* x.groups &* groupSize
    for g in 0..<x.groups {
        var a = _mm_setzero_si128(), b = a, c = a, d = a
        for _ in 0..<16 {
            let q = spreadFour(v)
            @inline(__always) func add(_ sums: __m128i, _ at: Int) -> __m128i {
                accumulate(sums, factor(load16(w + at)), q)
            }
            a = add(a, 0)
            b = add(b, 16)
            c = add(c, 32)
            d = add(d, 48)
            w += 64
            v += 4
        }
        total += floats(a, b, c, d) * x.scales[t &* x.groups &+ g]
    }
    return total
}

@inline(__always)
func fourTokens(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int, _ next: UnsafeRawPointer?
) -> (F16, F16, F16, F16) {
    var ta = F16.zero, tb = F16.zero, tc = F16.zero, td = F16.zero
    let n = x.groups
    let width = n &* groupSize
    let values = UnsafeRawPointer(x.values) + t &* width
    for g in 0..<n {
        prefetchTile(next, group: g)
        let w = tile + g &* 16 &* groupSize, v = values + g &* groupSize
        let low = eightOutputs(w, v, width), high = eightOutputs(w + 32, v, width)
        let scales = x.scales + (t &* n &+ g)
        ta += floats(low.0, low.1, high.0, high.1) * scales[0]
        tb += floats(low.2, low.3, high.2, high.3) * scales[n]
        tc += floats(low.4, low.5, high.4, high.5) * scales[2 &* n]
        td += floats(low.6, low.7, high.6, high.7) * scales[3 &* n]
    }
    return (ta, tb, tc, td)
}

/// A group of half a tile times four tokens: as many sums as registers hold. Two of each token.
@inline(__always)
private func eightOutputs(
    _ tile: UnsafeRawPointer, _ values: UnsafeRawPointer, _ width: Int
) -> (__m128i, __m128i, __m128i, __m128i, __m128i, __m128i, __m128i, __m128i) {
    var a0 = _mm_setzero_si128()
    var a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0
    for k in 0..<16 {
        let w = tile + 64 &* k, v = values + 4 &* k
        let w0 = factor(load16(w)), w1 = factor(load16(w + 16))
        let qa = spreadFour(v)
        a0 = accumulate(a0, w0, qa)
        a1 = accumulate(a1, w1, qa)
        let qb = spreadFour(v + width)
        b0 = accumulate(b0, w0, qb)
        b1 = accumulate(b1, w1, qb)
        let qc = spreadFour(v + 2 &* width)
        c0 = accumulate(c0, w0, qc)
        c1 = accumulate(c1, w1, qc)
        let qd = spreadFour(v + 3 &* width)
        d0 = accumulate(d0, w0, qd)
        d1 = accumulate(d1, w1, qd)
    }
    return (a0, a1, b0, b1, c0, c1, d0, d1)
}
#endif
