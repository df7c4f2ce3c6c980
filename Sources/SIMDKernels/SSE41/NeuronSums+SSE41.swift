// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_SSE41
import KernelTable
import _Builtin_intrinsics.intel

/// The exact sums of one group of neurons over `width` columns: `sums[t * width + c]`, four bytes each. Eight neurons' rows
/// are interleaved byte by byte in registers, four and four, so that a product step adds the products of four neurons to
/// four columns; the sums lie in memory, in the order of the columns, and travel once for eight neurons.
@inline(__always)
func groupProducts(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int,
    _ x: QuantizedRows, _ tokens: Int, _ g: Int, _ sums: UnsafeMutableRawPointer
) {
    let shouldPrefetch = w.shouldPrefetch(neurons)
    let end = Swift.min((g &+ 1) &* groupSize, neuronCount)
    for b in 0..<tokens &* width / 4 { (sums + b &* 16).storeBytes(of: _mm_setzero_si128(), as: __m128i.self) }
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
            if shouldPrefetch, at & 63 == 0 {
                prefetch(p0, p1, p2, p3, at &* stepAhead)
                prefetch(p4, p5, p6, p7, at &* stepAhead)
            }
            let (a0, a1, a2, a3) = interleave(r0 + at, r1 + at, r2 + at, r3 + at)
            let (b0, b1, b2, b3) = interleave(r4 + at, r5 + at, r6 + at, r7 + at)
            for t in 0..<tokens {
                let q = values + t &* x.groups &* groupSize
                let q0 = factor(spreadFour(q)), q1 = factor(spreadFour(q + 4))
                let s = sums + 4 &* (t &* width &+ at)
                add(s, a0, q0, b0, q1)
                add(s + 16, a1, q0, b1, q1)
                add(s + 32, a2, q0, b2, q1)
                add(s + 48, a3, q0, b3, q1)
            }
            at &+= 16
        }
        i &+= 8
    }
}

/// Of scattered neurons, those from the one being added to the one whose row is prefetched.
private let prefetchDistance = 16

@inline(__always)
private func add(_ p: UnsafeMutableRawPointer, _ a: Bytes16, _ qa: Factor, _ b: Bytes16, _ qb: Factor) {
    let one = accumulate(p.load(as: __m128i.self), qa, a)
    p.storeBytes(of: accumulate(one, qb, b), as: __m128i.self)
}

/// Sixteen outputs of four inputs each, from one row an input.
@inline(__always)
func interleave(
    _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeRawPointer, _ d: UnsafeRawPointer
) -> (__m128i, __m128i, __m128i, __m128i) {
    let a = load16(a), b = load16(b), c = load16(c), d = load16(d)
    let abLow = _mm_unpacklo_epi8(a, b), abHigh = _mm_unpackhi_epi8(a, b)
    let cdLow = _mm_unpacklo_epi8(c, d), cdHigh = _mm_unpackhi_epi8(c, d)
    return (
        _mm_unpacklo_epi16(abLow, cdLow), _mm_unpackhi_epi16(abLow, cdLow),
        _mm_unpacklo_epi16(abHigh, cdHigh), _mm_unpackhi_epi16(abHigh, cdHigh)
    )
}

@inline(__always)
func integersAsFloats(_ p: UnsafeMutableRawPointer) -> F16 {
    let s = p.assumingMemoryBound(to: __m128i.self)
    return floats(s[0], s[1], s[2], s[3])
}

/// The columns are in order.
@inline(__always)
func place(ofColumns c: Int) -> Int { c }
#endif
