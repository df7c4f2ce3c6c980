// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
import KernelTable
import _Builtin_intrinsics.intel

// Four neurons' rows are interleaved byte by byte in registers, so that one product step adds four products
// of eight columns. The interleaving leaves the columns of a block of 32 in another order (see `place`),
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
    for t in 0..<tokens {
        let start = _mm256_set1_epi32(origin(x.token(t).sums[g])), s = sums + 4 &* t &* width
        for b in 0..<width / 8 { (s + b &* 32).storeBytes(of: start, as: __m256i.self) }
    }
    var i = g &* groupSize
    while i < end {
        let ahead = w.adjacentRowsAhead(neurons, 0, neuronCount, i, rows: 4, bytes: width)
        let stepAhead = ahead == nil ? 1 : 4
        @inline(__always) func next(_ k: Int) -> UnsafeRawPointer {
            w.lineAhead(ahead, neurons, 0, neuronCount, i &+ prefetchDistance, k)
        }
        // Neurons past the end, which are repeats, have an activation of zero.
        let (r0, r1, r2, r3) = w.fourRows(neurons, 0, neuronCount, i)
        let p0 = next(0), p1 = next(1), p2 = next(2), p3 = next(3)
        let values = UnsafeRawPointer(x.values + i)
        var at = 0
        while at < width {
            if shouldPrefetch, at & 32 == 0 {
                let to = at &* stepAhead
                prefetch(p0 + to)
                prefetch(p1 + to)
                prefetch(p2 + to)
                prefetch(p3 + to)
            }
            let a = load32(r0 + at), b = load32(r1 + at), c = load32(r2 + at), d = load32(r3 + at)
            let abLow = _mm256_unpacklo_epi8(a, b), abHigh = _mm256_unpackhi_epi8(a, b)
            let cdLow = _mm256_unpacklo_epi8(c, d), cdHigh = _mm256_unpackhi_epi8(c, d)
            let w0 = _mm256_unpacklo_epi16(abLow, cdLow), w1 = _mm256_unpackhi_epi16(abLow, cdLow)
            let w2 = _mm256_unpacklo_epi16(abHigh, cdHigh), w3 = _mm256_unpackhi_epi16(abHigh, cdHigh)
            for t in 0..<tokens {
                let q = multiplier(spreadFour(values + t &* x.groups &* groupSize))
                let s = sums + 4 &* (t &* width &+ at)
                add(s, w0, q)
                add(s + 32, w1, q)
                add(s + 64, w2, q)
                add(s + 96, w3, q)
            }
            at &+= 32
        }
        i &+= 4
    }
}

/// Of scattered neurons, those from the one being added to the one whose row is prefetched.
private let prefetchDistance = 16

@inline(__always)
func integersAsFloats(_ p: UnsafeMutableRawPointer) -> F16 {
    F16(
        lowHalf: _mm256_cvtepi32_ps(p.load(as: __m256i.self)),
        highHalf: _mm256_cvtepi32_ps((p + 32).load(as: __m256i.self)))
}

/// Where a register's four columns `c ..< c + 4` are: register k, lane l of a block of 32 holds columns
/// 16 l + 4 k and on.
@inline(__always)
func place(ofColumns c: Int) -> Int { (c & ~31) &+ 8 &* ((c &>> 2) & 3) &+ 4 &* ((c &>> 4) & 1) }

@inline(__always)
private func add(_ p: UnsafeMutableRawPointer, _ w: Bytes32, _ q: Multiplier) {
    p.storeBytes(of: accumulate(p.load(as: __m256i.self), w, times: q), as: __m256i.self)
}
#endif
