// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

/// Of scattered rows, those from the one being read to the one being prefetched. More is worse: measured up to 24 KiB.
private let prefetchDistance = 8

/// Sixteen tokens are faster in tiles, twelve are slower there (Xeon, family 6 model 207, from memory).
let tileTokens = 13

func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    if tokens > 1, list == nil { return fewTokens(w, first, count, x, tokens, out, outStride) }
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

/// Several tokens: sixteen rows, whose parts are put side by side once for all tokens, so that a register has the same four
/// inputs of four rows in each of its 128-bit lanes. The lanes are other inputs, and are added at the end of a group.
private func fewTokens(
    _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    withSixteenVectors { sums in
        var i = 0
        while i < count {
            var t = 0
            while t < tokens {
                let some = Swift.min(tokens &- t, 16)
                sixteenRows(w, first, count, i, x.token(t), some, t == 0, sums)
                for k in 0..<some {
                    finish(sums[k], w, nil, first &+ i, count &- i, out + ((t &+ k) &* outStride &+ i))
                }
                t &+= some
            }
            i &+= 16
        }
    }
}

/// The products of the rows i to i + 15 and up to sixteen tokens.
@inline(__always)
private func sixteenRows(
    _ w: WeightRows, _ first: Int, _ count: Int, _ i: Int, _ x: QuantizedRows, _ tokens: Int, _ isFirst: Bool,
    _ sums: UnsafeMutablePointer<F16>
) {
    let width = x.groups &* groupSize
    let ahead = w.exceedsCache && isFirst ? w.adjacentRowsAhead(nil, first, count, i, rows: 16, bytes: width) : nil
    let (a0, a1, a2, a3) = w.fourRows(nil, first, count, i)
    let (b0, b1, b2, b3) = w.fourRows(nil, first, count, i &+ 4)
    let (c0, c1, c2, c3) = w.fourRows(nil, first, count, i &+ 8)
    let (d0, d1, d2, d3) = w.fourRows(nil, first, count, i &+ 12)
    for t in 0..<tokens { sums[t] = .zero }
    for g in 0..<x.groups {
        let at = g &* groupSize
        if let ahead {
            for k in 0..<16 { prefetch(ahead + (16 &* at &+ 64 &* k)) }
        }
        let a = FourRows(a0 + at, a1 + at, a2 + at, a3 + at), b = FourRows(b0 + at, b1 + at, b2 + at, b3 + at)
        let c = FourRows(c0 + at, c1 + at, c2 + at, c3 + at), d = FourRows(d0 + at, d1 + at, d2 + at, d3 + at)
        var v = UnsafeRawPointer(x.values) + at
        var scale = x.scales + g, sum = x.sums + g
        for t in 0..<tokens {
            let q = load64(v)
            let q0 = spread(q, 0x0302_0100), q1 = spread(q, 0x0706_0504)
            let q2 = spread(q, 0x0B0A_0908), q3 = spread(q, 0x0F0E_0D0C)
            let pa = a.product(q0, q1, q2, q3), pb = b.product(q0, q1, q2, q3)
            let pc = c.product(q0, q1, q2, q3), pd = d.product(q0, q1, q2, q3)
            let all = unsafeBitCast(sumOfLanes(pa, pb, pc, pd), to: I16.self) &- sum[0]
            sums[t] += _mm512_cvtepi32_ps(unsafeBitCast(all, to: __m512i.self)) * scale[0]
            v += width
            scale += x.groups
            sum += x.groups
        }
    }
}

/// Four bytes of each lane, whose places are given, four times. (`_mm512_shuffle_epi32` is a macro.)
@inline(__always)
private func spread(_ v: __m512i, _ places: Int32) -> __m512i { _mm512_shuffle_epi8(v, _mm512_set1_epi32(places)) }

/// A group of four rows: register k has in lane j the inputs from 16 j + 4 k on, of one row after another.
private struct FourRows {
    let k0, k1, k2, k3: __m512i

    @inline(__always)
    init(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeRawPointer, _ d: UnsafeRawPointer) {
        let a = offset(load64(a)), b = offset(load64(b)), c = offset(load64(c)), d = offset(load64(d))
        let abLow = _mm512_unpacklo_epi32(a, b), abHigh = _mm512_unpackhi_epi32(a, b)
        let cdLow = _mm512_unpacklo_epi32(c, d), cdHigh = _mm512_unpackhi_epi32(c, d)
        k0 = _mm512_unpacklo_epi64(abLow, cdLow)
        k1 = _mm512_unpackhi_epi64(abLow, cdLow)
        k2 = _mm512_unpacklo_epi64(abHigh, cdHigh)
        k3 = _mm512_unpackhi_epi64(abHigh, cdHigh)
    }

    @inline(__always)
    func product(_ q0: __m512i, _ q1: __m512i, _ q2: __m512i, _ q3: __m512i) -> __m512i {
        var p = _mm512_dpbusd_epi32(_mm512_setzero_si512(), k0, q0)
        p = _mm512_dpbusd_epi32(p, k1, q1)
        p = _mm512_dpbusd_epi32(p, k2, q2)
        return _mm512_dpbusd_epi32(p, k3, q3)
    }
}

/// The sums of the four lanes of each register, one register's after another.
@inline(__always)
private func sumOfLanes(_ a: __m512i, _ b: __m512i, _ c: __m512i, _ d: __m512i) -> __m512i {
    @inline(__always) func halves(_ a: __m512i, _ b: __m512i) -> __m512i {
        _mm512_add_epi32(
            _mm512_permutex2var_epi64(a, lanes(0, 1, 2, 3, 8, 9, 10, 11), b),
            _mm512_permutex2var_epi64(a, lanes(4, 5, 6, 7, 12, 13, 14, 15), b))
    }
    let ab = halves(a, b), cd = halves(c, d)
    return _mm512_add_epi32(
        _mm512_permutex2var_epi64(ab, lanes(0, 1, 4, 5, 8, 9, 12, 13), cd),
        _mm512_permutex2var_epi64(ab, lanes(2, 3, 6, 7, 10, 11, 14, 15), cd))
}

@inline(__always)
private func lanes(
    _ a: Int64, _ b: Int64, _ c: Int64, _ d: Int64, _ e: Int64, _ f: Int64, _ g: Int64, _ h: Int64
) -> __m512i { SIMD8(a, b, c, d, e, f, g, h) }
#endif
