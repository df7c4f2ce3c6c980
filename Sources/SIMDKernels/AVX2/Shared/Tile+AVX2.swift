// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
import KernelTable
import _Builtin_intrinsics.intel

/// A tile is 16 outputs wide: for every four inputs, 16 times the four weights, 64 bytes. A register
/// holds eight outputs, four broadcast activations meet it in one step, and no sum crosses lanes.
let tileRows = 16
let tileTokens = 8

func packRows(
    _ w: WeightRows, _ first: Int, _ count: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    for half in 0..<2 {
        // Rows past the end are repeats; nobody stores their sums.
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
            UnsafeRawPointer(w.weights + (first &+ Swift.min(half &* 8 &+ k, count &- 1)) &* w.stride)
        }
        let r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3)
        let r4 = row(4), r5 = row(5), r6 = row(6), r7 = row(7)
        for at in stride(from: 0, to: groups &* groupSize, by: 32) {
            // Four rows a register lane of 128 bits, then the lanes of the rows above and below.
            let (a0, a1, a2, a3) = transposed(load32(r0 + at), load32(r1 + at), load32(r2 + at), load32(r3 + at))
            let (b0, b1, b2, b3) = transposed(load32(r4 + at), load32(r5 + at), load32(r6 + at), load32(r7 + at))
            let to = tile + (at &* 16 &+ half &* 32)
            storeQuad(a0, b0, to)
            storeQuad(a1, b1, to + 64)
            storeQuad(a2, b2, to + 128)
            storeQuad(a3, b3, to + 192)
        }
    }
}

/// In every lane of 128 bits, the transpose of four rows of four quads: quads 0 to 3, and in the high lanes 4 to 7.
@inline(__always)
private func transposed(
    _ a: Bytes32, _ b: Bytes32, _ c: Bytes32, _ d: Bytes32
) -> (Bytes32, Bytes32, Bytes32, Bytes32) {
    let abLow = _mm256_unpacklo_epi32(a, b), abHigh = _mm256_unpackhi_epi32(a, b)
    let cdLow = _mm256_unpacklo_epi32(c, d), cdHigh = _mm256_unpackhi_epi32(c, d)
    return (
        _mm256_unpacklo_epi64(abLow, cdLow), _mm256_unpackhi_epi64(abLow, cdLow),
        _mm256_unpacklo_epi64(abHigh, cdHigh), _mm256_unpackhi_epi64(abHigh, cdHigh)
    )
}

/// A quad of eight rows, and the quad four later.
@inline(__always)
private func storeQuad(_ a: Bytes32, _ b: Bytes32, _ p: UnsafeMutableRawPointer) {
    let a = packed(a), b = packed(b)
    p.storeBytes(of: SIMD4(lowHalf: a.lowHalf, highHalf: b.lowHalf), as: Bytes32.self)
    (p + 256).storeBytes(of: SIMD4(lowHalf: a.highHalf, highHalf: b.highHalf), as: Bytes32.self)
}

func packColumns(
    _ w: WeightRows, _ neuronCount: Int, _ first: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    // Neurons past the end are repeats: their activations are zero.
    let last = neuronCount &- 1
    for quad in 0..<groups &* 16 {
        @inline(__always) func row(_ k: Int) -> __m128i {
            UnsafeRawPointer(w.weights + Swift.min(quad &* 4 &+ k, last) &* w.stride + first)
                .loadUnaligned(as: __m128i.self)
        }
        let a = row(0), b = row(1), c = row(2), d = row(3)
        let abLow = _mm_unpacklo_epi8(a, b), abHigh = _mm_unpackhi_epi8(a, b)
        let cdLow = _mm_unpacklo_epi8(c, d), cdHigh = _mm_unpackhi_epi8(c, d)
        let low = SIMD4(lowHalf: _mm_unpacklo_epi16(abLow, cdLow), highHalf: _mm_unpackhi_epi16(abLow, cdLow))
        let high = SIMD4(lowHalf: _mm_unpacklo_epi16(abHigh, cdHigh), highHalf: _mm_unpackhi_epi16(abHigh, cdHigh))
        let to = tile + quad &* 64
        to.storeBytes(of: packed(low), as: Bytes32.self)
        (to + 32).storeBytes(of: packed(high), as: Bytes32.self)
    }
}

/// Where the sums of a token's group begin.
@inline(__always)
private func start(_ x: QuantizedRows, _ t: Int, _ g: Int) -> __m256i {
    _mm256_set1_epi32(origin(x.sums[t &* x.groups &+ g]))
}

@inline(__always)
private func scaled(_ low: __m256i, _ high: __m256i, _ scale: Float) -> F16 {
    F16(lowHalf: _mm256_cvtepi32_ps(low), highHalf: _mm256_cvtepi32_ps(high)) * scale
}

@inline(__always)
func oneToken(_ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int) -> F16 {
    var total = F16.zero
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* x.groups &* groupSize
    for g in 0..<x.groups {
        var low = start(x, t, g), high = low
        sixteenTimes { i in
            let q = spreadFour(v + 4 &* i)
            low = accumulate(low, unpacked(load32(w + 64 &* i)), q)
            high = accumulate(high, unpacked(load32(w + (64 &* i &+ 32))), q)
        }
        total += scaled(low, high, x.scales[t &* x.groups &+ g])
        w += 1024
        v += groupSize
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
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* width
    for g in 0..<n {
        prefetchTile(next, group: g)
        var a0 = start(x, t, g), a1 = a0
        var b0 = start(x, t &+ 1, g), b1 = b0
        var c0 = start(x, t &+ 2, g), c1 = c0
        var d0 = start(x, t &+ 3, g), d1 = d0
        sixteenTimes { i in
            let w0 = unpacked(load32(w + 64 &* i)), w1 = unpacked(load32(w + (64 &* i &+ 32))), v = v + 4 &* i
            let qa = spreadFour(v), qb = spreadFour(v + width)
            a0 = accumulate(a0, w0, qa)
            a1 = accumulate(a1, w1, qa)
            b0 = accumulate(b0, w0, qb)
            b1 = accumulate(b1, w1, qb)
            let qc = spreadFour(v + 2 &* width), qd = spreadFour(v + 3 &* width)
            c0 = accumulate(c0, w0, qc)
            c1 = accumulate(c1, w1, qc)
            d0 = accumulate(d0, w0, qd)
            d1 = accumulate(d1, w1, qd)
        }
        let scales = x.scales + (t &* n &+ g)
        ta += scaled(a0, a1, scales[0])
        tb += scaled(b0, b1, scales[n])
        tc += scaled(c0, c1, scales[2 &* n])
        td += scaled(d0, d1, scales[3 &* n])
        w += 1024
        v += groupSize
    }
    return (ta, tb, tc, td)
}
#endif
