#if arch(x86_64) && KERNELS_AVX2
import KernelTable
import _Builtin_intrinsics.intel

/// Four neurons' rows are interleaved byte by byte in registers, so that one product step adds four
/// products of eight columns. The interleaving leaves the columns of a block of 32 in another order
/// (see `finish`), which does not matter until the end.
func neuronSums(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ first: Int, _ count: Int,
    _ x: QuantizedRows, _ accumulators: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>
) {
    let blocks = (count &+ 63) / 64 &* 2
    let totals = (accumulators + blocks &* 128).assumingMemoryBound(to: Float.self)
    totals.update(repeating: 0, count: blocks &* 32)
    let last = neuronCount &- 1
    for g in 0..<x.groups {
        let start = g &* groupSize
        let end = Swift.min(start &+ groupSize, neuronCount)
        accumulators.initializeMemory(as: Int32.self, repeating: 0, count: blocks &* 32)
        var i = start
        while i < end {
            // Neurons past the end are repeats with an activation of zero.
            @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
                let at = Swift.min(i &+ k, last)
                let n = neurons.map { Int($0[at]) } ?? at
                return UnsafeRawPointer(w.weights + n &* w.stride + first)
            }
            let r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3)
            let p0 = row(16), p1 = row(17), p2 = row(18), p3 = row(19)
            let q = _mm256_set1_epi32(UnsafeRawPointer(x.values + i).loadUnaligned(as: Int32.self))
            for b in 0..<blocks {
                let at = b &* 32
                prefetch(p0 + at)
                prefetch(p1 + at)
                prefetch(p2 + at)
                prefetch(p3 + at)
                let a = load32(r0 + at), b2 = load32(r1 + at), c = load32(r2 + at), d = load32(r3 + at)
                let abLow = _mm256_unpacklo_epi8(a, b2), abHigh = _mm256_unpackhi_epi8(a, b2)
                let cdLow = _mm256_unpacklo_epi8(c, d), cdHigh = _mm256_unpackhi_epi8(c, d)
                let s = accumulators + b &* 128
                accumulate(s, _mm256_unpacklo_epi16(abLow, cdLow), q)
                accumulate(s + 32, _mm256_unpackhi_epi16(abLow, cdLow), q)
                accumulate(s + 64, _mm256_unpacklo_epi16(abHigh, cdHigh), q)
                accumulate(s + 96, _mm256_unpackhi_epi16(abHigh, cdHigh), q)
            }
            i &+= 4
        }
        let scale = x.scales[g]
        for b in 0..<blocks &* 2 {
            let p = accumulators + b &* 64
            let sum = F16(
                lowHalf: _mm256_cvtepi32_ps(p.load(as: __m256i.self)),
                highHalf: _mm256_cvtepi32_ps((p + 32).load(as: __m256i.self)))
            store(load(totals + b &* 16) + sum * scale, totals + b &* 16)
        }
    }
    for b in 0..<blocks where b &* 32 < count {
        finish(totals + b &* 32, w, first &+ b &* 32, count &- b &* 32, out + b &* 32)
    }
}

/// Puts the columns of a block back in order: register k, lane l holds columns 16 l + 4 k ... + 3.
@inline(__always)
private func finish(
    _ totals: UnsafePointer<Float>, _ w: WeightRows, _ first: Int, _ count: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    for k in 0..<4 {
        for l in 0..<2 {
            let c = 16 &* l &+ 4 &* k
            let from = totals + (8 &* k &+ 4 &* l)
            for j in 0..<4 where c &+ j < count {
                let y = from[j] * w.scales[first &+ c &+ j]
                out[c &+ j] = w.bias.map { y + $0[first &+ c &+ j] } ?? y
            }
        }
    }
}

@inline(__always)
private func accumulate(_ p: UnsafeMutableRawPointer, _ w: __m256i, _ q: __m256i) {
    let sum = _mm256_add_epi32(p.load(as: __m256i.self), quadDots(_mm256_abs_epi8(w), w, q))
    p.storeBytes(of: sum, as: __m256i.self)
}
#endif
