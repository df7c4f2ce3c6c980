#if arch(x86_64) && KERNELS_AVX2
import KernelTable
import _Builtin_intrinsics.intel

/// Rows from the one being read to the one that is asked for.
private let ahead = 8

func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ out: UnsafeMutablePointer<Float>
) {
    let isAhead = w.isAskedAhead(list)
    var i = 0
    while i < count {
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer { w.row(list, first, count, i &+ k) }
        @inline(__always) func next(_ k: Int) -> UnsafeRawPointer { w.rowAhead(list, first, count, i &+ k &+ ahead) }
        let r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3)
        let p0 = next(0), p1 = next(1), p2 = next(2), p3 = next(3)
        var acc = SIMD4<Float>.zero
        for g in 0..<x.groups {
            let at = g &* groupSize
            if isAhead {
                prefetch(p0 + at)
                prefetch(p1 + at)
                prefetch(p2 + at)
                prefetch(p3 + at)
            }
            let xa = load32(UnsafeRawPointer(x.values) + at)
            let xb = load32(UnsafeRawPointer(x.values) + at + 32)
            @inline(__always) func product(_ row: UnsafeRawPointer) -> __m256i {
                let a = load32(row + at), b = load32(row + at + 32)
                return _mm256_add_epi32(
                    quadDots(_mm256_abs_epi8(a), a, xa), quadDots(_mm256_abs_epi8(b), b, xb))
            }
            let low = _mm256_hadd_epi32(product(r0), product(r1))
            let high = _mm256_hadd_epi32(product(r2), product(r3))
            let sums = unsafeBitCast(_mm256_hadd_epi32(low, high), to: SIMD8<Int32>.self)
            let sum = sums.lowHalf &+ sums.highHalf
            acc += _mm_cvtepi32_ps(unsafeBitCast(sum, to: __m128i.self)) * x.scales[g]
        }
        for k in 0..<Swift.min(4, count &- i) {
            let r = list.map { Int($0[i &+ k]) } ?? first &+ i &+ k
            let y = acc[k] * w.scales[r]
            out[i &+ k] = w.bias.map { y + $0[r] } ?? y
        }
        i &+= 4
    }
}
#endif
