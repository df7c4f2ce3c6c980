// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

// Four neurons' rows are interleaved byte by byte in registers, so that one vpdpbusd adds the four products
// of sixteen columns. The interleaving leaves the columns of a block of 64 in another order (see `place`),
// which does not matter until the end.

/// The exact sums of one group of neurons over `width` columns: `sums[t * width + c]`, four bytes each. What is made of
/// the rows serves all tokens.
@inline(__always)
func groupProducts(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int,
    _ x: QuantizedRows, _ tokens: Int, _ g: Int, _ sums: UnsafeMutableRawPointer
) {
    let shouldPrefetch = w.shouldPrefetch(neurons)
    let end = Swift.min((g &+ 1) &* groupSize, neuronCount)
    // The correction for the unsigned weights is where the sums start.
    for t in 0..<tokens {
        let origin = _mm512_set1_epi32(0 &- x.token(t).sums[g]), s = sums + 4 &* t &* width
        for b in 0..<width / 16 { (s + b &* 64).storeBytes(of: origin, as: __m512i.self) }
    }
    var i = g &* groupSize
    while i < end {
        let ahead = w.adjacentRowsAhead(neurons, 0, neuronCount, i, rows: 8, bytes: width)
        let stepAhead = ahead == nil ? 1 : 8
        @inline(__always) func next(_ k: Int) -> UnsafeRawPointer {
            w.lineAhead(ahead, neurons, 0, neuronCount, i &+ prefetchDistance, k)
        }
        // Neurons past the end, which are repeats, have an activation of zero.
        let (r0, r1, r2, r3) = w.fourRows(neurons, 0, neuronCount, i)
        let (r4, r5, r6, r7) = w.fourRows(neurons, 0, neuronCount, i &+ 4)
        let p0 = next(0), p1 = next(1), p2 = next(2), p3 = next(3)
        let p4 = next(4), p5 = next(5), p6 = next(6), p7 = next(7)
        let values = UnsafeRawPointer(x.values + i)
        var at = 0
        while at < width {
            if shouldPrefetch {
                prefetch(p0, p1, p2, p3, at &* stepAhead)
                prefetch(p4, p5, p6, p7, at &* stepAhead)
            }
            let (a0, a1, a2, a3) = interleave(r0 + at, r1 + at, r2 + at, r3 + at)
            let (b0, b1, b2, b3) = interleave(r4 + at, r5 + at, r6 + at, r7 + at)
            for t in 0..<tokens {
                let q = values + t &* x.groups &* groupSize
                let q0 = _mm512_set1_epi32(q.loadUnaligned(as: Int32.self))
                let q1 = _mm512_set1_epi32((q + 4).loadUnaligned(as: Int32.self))
                let s = sums + 4 &* (t &* width &+ at)
                accumulate(s, a0, q0, b0, q1)
                accumulate(s + 64, a1, q0, b1, q1)
                accumulate(s + 128, a2, q0, b2, q1)
                accumulate(s + 192, a3, q0, b3, q1)
            }
            at &+= 64
        }
        i &+= 8
    }
}

/// Of scattered neurons, those from the one being added to the one whose row is prefetched.
private let prefetchDistance = 16

@inline(__always)
func integersAsFloats(_ p: UnsafeMutableRawPointer) -> F16 { _mm512_cvtepi32_ps(p.load(as: __m512i.self)) }

/// Where a register's four columns `c ..< c + 4` are: register k, lane l of a block of 64 holds columns
/// 16 l + 4 k and on.
@inline(__always)
func place(ofColumns c: Int) -> Int { (c & ~63) &+ 16 &* ((c &>> 2) & 3) &+ 4 &* ((c &>> 4) & 3) }

@inline(__always)
private func accumulate(
    _ p: UnsafeMutableRawPointer, _ a: __m512i, _ qa: __m512i, _ b: __m512i, _ qb: __m512i
) {
    let one = _mm512_dpbusd_epi32(p.load(as: __m512i.self), a, qa)
    p.storeBytes(of: _mm512_dpbusd_epi32(one, b, qb), as: __m512i.self)
}

@inline(__always)
private func interleave(
    _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeRawPointer, _ d: UnsafeRawPointer
) -> (__m512i, __m512i, __m512i, __m512i) {
    let a = offset(load64(a)), b = offset(load64(b)), c = offset(load64(c)), d = offset(load64(d))
    let abLow = _mm512_unpacklo_epi8(a, b), abHigh = _mm512_unpackhi_epi8(a, b)
    let cdLow = _mm512_unpacklo_epi8(c, d), cdHigh = _mm512_unpackhi_epi8(c, d)
    return (
        _mm512_unpacklo_epi16(abLow, cdLow), _mm512_unpackhi_epi16(abLow, cdLow),
        _mm512_unpacklo_epi16(abHigh, cdHigh), _mm512_unpackhi_epi16(abHigh, cdHigh)
    )
}
#endif
