#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

/// Four neurons' rows are interleaved byte by byte in registers, so that one vpdpbusd adds the four
/// products of sixteen columns. The interleaving leaves the columns of a block of 64 in another order
/// (see `store`), which does not matter until the end.
func neuronSums(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ first: Int, _ count: Int,
    _ x: QuantizedRows, _ accumulators: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>
) {
    let blocks = (count &+ 63) / 64
    let totals = (accumulators + blocks &* 256).assumingMemoryBound(to: Float.self)
    totals.update(repeating: 0, count: blocks &* 64)
    let last = neuronCount &- 1
    for g in 0..<x.groups {
        let start = g &* groupSize
        let end = Swift.min(start &+ groupSize, neuronCount)
        // The correction for the unsigned weights is where the sums start.
        let origin = _mm512_set1_epi32(0 &- x.sums[g])
        for b in 0..<blocks &* 4 { (accumulators + b &* 64).storeBytes(of: origin, as: __m512i.self) }
        var i = start
        while i < end {
            // Neurons past the end are repeats with an activation of zero.
            @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
                let at = Swift.min(i &+ k, last)
                let n = neurons.map { Int($0[at]) } ?? at
                return UnsafeRawPointer(w.weights + n &* w.stride + first)
            }
            let r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3)
            let r4 = row(4), r5 = row(5), r6 = row(6), r7 = row(7)
            let ahead = row(16), ahead1 = row(17), ahead2 = row(18), ahead3 = row(19)
            let ahead4 = row(20), ahead5 = row(21), ahead6 = row(22), ahead7 = row(23)
            let q = UnsafeRawPointer(x.values + i)
            let q0 = _mm512_set1_epi32(q.loadUnaligned(as: Int32.self))
            let q1 = _mm512_set1_epi32((q + 4).loadUnaligned(as: Int32.self))
            for b in 0..<blocks {
                let at = b &* 64
                prefetch(ahead + at)
                prefetch(ahead1 + at)
                prefetch(ahead2 + at)
                prefetch(ahead3 + at)
                prefetch(ahead4 + at)
                prefetch(ahead5 + at)
                prefetch(ahead6 + at)
                prefetch(ahead7 + at)
                let s = accumulators + b &* 256
                let (a0, a1, a2, a3) = interleave(r0 + at, r1 + at, r2 + at, r3 + at)
                let (b0, b1, b2, b3) = interleave(r4 + at, r5 + at, r6 + at, r7 + at)
                accumulate(s, a0, q0, b0, q1)
                accumulate(s + 64, a1, q0, b1, q1)
                accumulate(s + 128, a2, q0, b2, q1)
                accumulate(s + 192, a3, q0, b3, q1)
            }
            i &+= 8
        }
        let scale = x.scales[g]
        for b in 0..<blocks &* 4 {
            let sum = _mm512_cvtepi32_ps((accumulators + b &* 64).load(as: __m512i.self))
            let p = totals + b &* 16
            store(load(p) + sum * scale, p)
        }
    }
    for b in 0..<blocks { finish(totals + b &* 64, w, first &+ b &* 64, count &- b &* 64, out + b &* 64) }
}

/// Puts the columns of a block back in order: register k, lane l holds columns 16 l + 4 k ... + 3.
@inline(__always)
private func finish(
    _ totals: UnsafePointer<Float>, _ w: WeightRows, _ first: Int, _ count: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    for k in 0..<4 {
        for l in 0..<4 {
            let c = 16 &* l &+ 4 &* k
            let from = totals + (16 &* k &+ 4 &* l)
            for j in 0..<4 where c &+ j < count {
                let y = from[j] * w.scales[first &+ c &+ j]
                out[c &+ j] = w.bias.map { y + $0[first &+ c &+ j] } ?? y
            }
        }
    }
}

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
