// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

/// Of scattered rows, those from the one being read to the one being prefetched. More is worse: measured up to 24 KiB.
private let prefetchDistance = 8

func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    let shouldPrefetch = w.shouldPrefetch(list)
    var i = 0
    while i < count {
        let ahead = w.adjacentRowsAhead(list, first, count, i, rows: 8, bytes: x.groups &* groupSize)
        let stepAhead = ahead == nil ? groupSize : 8 &* groupSize
        @inline(__always) func next(_ k: Int) -> UnsafeRawPointer {
            w.lineAhead(ahead, list, first, count, i &+ prefetchDistance, k)
        }
        let (r0, r1, r2, r3) = w.fourRows(list, first, count, i)
        let (r4, r5, r6, r7) = w.fourRows(list, first, count, i &+ 4)
        for t in 0..<tokens {
            let x = x.token(t)
            var acc = SIMD8<Float>.zero
            if shouldPrefetch, t == 0 {
                let p0 = next(0), p1 = next(1), p2 = next(2), p3 = next(3)
                let p4 = next(4), p5 = next(5), p6 = next(6), p7 = next(7)
                for g in 0..<x.groups {
                    prefetch(p0, p1, p2, p3, g &* stepAhead)
                    prefetch(p4, p5, p6, p7, g &* stepAhead)
                    acc = step(acc, g, x, r0, r1, r2, r3, r4, r5, r6, r7)
                }
            } else {
                for g in 0..<x.groups { acc = step(acc, g, x, r0, r1, r2, r3, r4, r5, r6, r7) }
            }
            finish(acc, w, list.map { $0 + i }, first &+ i, count &- i, out + (t &* outStride &+ i))
        }
        i &+= 8
    }
}

/// One group of eight rows: eight vpdpbusd, a tree that reduces eight registers of sixteen partial sums
/// into one of eight sums, then the group's scale.
@inline(__always)
private func step(
    _ acc: SIMD8<Float>, _ g: Int, _ x: QuantizedRows,
    _ r0: UnsafeRawPointer, _ r1: UnsafeRawPointer, _ r2: UnsafeRawPointer, _ r3: UnsafeRawPointer,
    _ r4: UnsafeRawPointer, _ r5: UnsafeRawPointer, _ r6: UnsafeRawPointer, _ r7: UnsafeRawPointer
) -> SIMD8<Float> {
    let at = g &* groupSize
    let v = load64(UnsafeRawPointer(x.values) + at)
    @inline(__always) func product(_ row: UnsafeRawPointer) -> __m512i {
        _mm512_dpbusd_epi32(_mm512_setzero_si512(), offset(load64(row + at)), v)
    }
    let low = four(product(r0), product(r1), product(r2), product(r3))
    let high = four(product(r4), product(r5), product(r6), product(r7))
    // Fold 512 bits to 256, the first four rows in the low lane, the others in the high one.
    let even = _mm512_permutex2var_epi64(low, lanes(0, 1, 8, 9, 4, 5, 12, 13), high)
    let odd = _mm512_permutex2var_epi64(low, lanes(2, 3, 10, 11, 6, 7, 14, 15), high)
    let both = unsafeBitCast(_mm512_add_epi32(even, odd), to: SIMD16<Int32>.self)
    let sums = both.lowHalf &+ both.highHalf &- SIMD8(repeating: x.sums[g])
    return acc + _mm256_cvtepi32_ps(unsafeBitCast(sums, to: __m256i.self)) * x.scales[g]
}

/// In every 128-bit lane: the sums of that lane's four partials of a, b, c and d.
@inline(__always)
private func four(_ a: __m512i, _ b: __m512i, _ c: __m512i, _ d: __m512i) -> __m512i {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b))
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d))
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
}

@inline(__always)
private func lanes(
    _ a: Int64, _ b: Int64, _ c: Int64, _ d: Int64, _ e: Int64, _ f: Int64, _ g: Int64, _ h: Int64
) -> __m512i { SIMD8(a, b, c, d, e, f, g, h) }
#endif
