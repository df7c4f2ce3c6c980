// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

/// A tile is 32 outputs wide: for every four inputs, 32 times the four (offset) weights, 128 bytes. A
/// register then holds sixteen outputs, four broadcast activations meet it in one vpdpbusd, and no sum
/// has to cross lanes.
let tileRows = 32

func packRows(
    _ w: WeightRows, _ first: Int, _ count: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    for quad in 0..<8 {
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
            let r = Swift.min(first &+ quad &* 4 &+ k, first &+ count &- 1)
            return UnsafeRawPointer(w.weights + r &* w.stride)
        }
        let a = row(0), b = row(1), c = row(2), d = row(3)
        for g in 0..<groups {
            let at = g &* groupSize
            let va = offset(load64(a + at)), vb = offset(load64(b + at))
            let vc = offset(load64(c + at)), vd = offset(load64(d + at))
            let abLow = _mm512_unpacklo_epi32(va, vb), abHigh = _mm512_unpackhi_epi32(va, vb)
            let cdLow = _mm512_unpacklo_epi32(vc, vd), cdHigh = _mm512_unpackhi_epi32(vc, vd)
            let to = tile + (g &* 2048 &+ quad &* 16)
            spread(_mm512_unpacklo_epi64(abLow, cdLow), to)
            spread(_mm512_unpackhi_epi64(abLow, cdLow), to + 128)
            spread(_mm512_unpacklo_epi64(abHigh, cdHigh), to + 256)
            spread(_mm512_unpackhi_epi64(abHigh, cdHigh), to + 384)
        }
    }
}

/// The four lanes of 128 bits go to inputs that are sixteen apart.
@inline(__always)
private func spread(_ v: __m512i, _ p: UnsafeMutableRawPointer) {
    let v = unsafeBitCast(v, to: SIMD16<Int32>.self)
    p.storeBytes(of: v.lowHalf.lowHalf, as: SIMD4<Int32>.self)
    (p + 512).storeBytes(of: v.lowHalf.highHalf, as: SIMD4<Int32>.self)
    (p + 1024).storeBytes(of: v.highHalf.lowHalf, as: SIMD4<Int32>.self)
    (p + 1536).storeBytes(of: v.highHalf.highHalf, as: SIMD4<Int32>.self)
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
        let a = row(0), b = row(1), c = row(2), d = row(3)
        for half in 0..<2 {
            @inline(__always) func bytes(_ p: UnsafeRawPointer) -> __m128i {
                let v = (p + half &* 16).loadUnaligned(as: __m128i.self)
                return _mm_xor_si128(v, _mm_set1_epi8(-128))
            }
            let va = bytes(a), vb = bytes(b), vc = bytes(c), vd = bytes(d)
            let abLow = _mm_unpacklo_epi8(va, vb), abHigh = _mm_unpackhi_epi8(va, vb)
            let cdLow = _mm_unpacklo_epi8(vc, vd), cdHigh = _mm_unpackhi_epi8(vc, vd)
            let to = tile + (quad &* 128 &+ half &* 64)
            to.storeBytes(of: _mm_unpacklo_epi16(abLow, cdLow), as: __m128i.self)
            (to + 16).storeBytes(of: _mm_unpackhi_epi16(abLow, cdLow), as: __m128i.self)
            (to + 32).storeBytes(of: _mm_unpacklo_epi16(abHigh, cdHigh), as: __m128i.self)
            (to + 48).storeBytes(of: _mm_unpackhi_epi16(abHigh, cdHigh), as: __m128i.self)
        }
    }
}

func tileDots(
    _ tile: UnsafeRawPointer, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ tokens: Int, _ next: UnsafeRawPointer?, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    withSixteenVectors { sums in
        var t = 0
        while t < tokens {
            let step = tokens &- t >= 8 ? 8 : (tokens &- t >= 4 ? 4 : 1)
            switch step {
            case 8: eight(tile, x, t, t == 0 ? next : nil, sums)
            case 4: fourTokens(tile, x, t, t == 0 ? next : nil, sums)
            default: one(tile, x, t, sums)
            }
            for k in 0..<step {
                finish(sums[2 &* k], w, nil, first, count, out + (t &+ k) &* outStride)
                if count > 16 {
                    finish(sums[2 &* k &+ 1], w, nil, first &+ 16, count &- 16, out + (t &+ k) &* outStride + 16)
                }
            }
            t &+= step
        }
    }
}

/// Adds a finished group to a token's running sums.
@inline(__always)
private func close(
    _ sums: UnsafeMutablePointer<F16>, _ k: Int, _ low: __m512i, _ high: __m512i, _ scale: Float
) {
    sums[2 &* k] += _mm512_cvtepi32_ps(low) * scale
    sums[2 &* k &+ 1] += _mm512_cvtepi32_ps(high) * scale
}

private func one(_ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int, _ sums: UnsafeMutablePointer<F16>) {
    sums[0] = .zero
    sums[1] = .zero
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* x.groups &* groupSize
    for g in 0..<x.groups {
        let at = t &* x.groups &+ g
        var low = _mm512_set1_epi32(0 &- x.sums[at]), high = low
        sixteenTimes { i in
            let q = broadcast(v + 4 &* i)
            low = _mm512_dpbusd_epi32(low, load64(w + 128 &* i), q)
            high = _mm512_dpbusd_epi32(high, load64(w + (128 &* i &+ 64)), q)
        }
        close(sums, 0, low, high, x.scales[at])
        w += 2048
        v += groupSize
    }
}

private func fourTokens(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int, _ next: UnsafeRawPointer?, _ sums: UnsafeMutablePointer<F16>
) {
    for k in 0..<8 { sums[k] = .zero }
    let width = x.groups &* groupSize
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* width
    for g in 0..<x.groups {
        prefetchTile(next, group: g)
        let s = x.sums + (t &* x.groups &+ g), scales = x.scales + (t &* x.groups &+ g)
        var a0 = _mm512_set1_epi32(0 &- s[0]), a1 = a0
        var b0 = _mm512_set1_epi32(0 &- s[x.groups]), b1 = b0
        var c0 = _mm512_set1_epi32(0 &- s[2 &* x.groups]), c1 = c0
        var d0 = _mm512_set1_epi32(0 &- s[3 &* x.groups]), d1 = d0
        sixteenTimes { i in
            let w0 = load64(w + 128 &* i), w1 = load64(w + (128 &* i &+ 64)), v = v + 4 &* i
            let qa = broadcast(v), qb = broadcast(v + width)
            let qc = broadcast(v + 2 &* width), qd = broadcast(v + 3 &* width)
            a0 = _mm512_dpbusd_epi32(a0, w0, qa)
            a1 = _mm512_dpbusd_epi32(a1, w1, qa)
            b0 = _mm512_dpbusd_epi32(b0, w0, qb)
            b1 = _mm512_dpbusd_epi32(b1, w1, qb)
            c0 = _mm512_dpbusd_epi32(c0, w0, qc)
            c1 = _mm512_dpbusd_epi32(c1, w1, qc)
            d0 = _mm512_dpbusd_epi32(d0, w0, qd)
            d1 = _mm512_dpbusd_epi32(d1, w1, qd)
        }
        close(sums, 0, a0, a1, scales[0])
        close(sums, 1, b0, b1, scales[x.groups])
        close(sums, 2, c0, c1, scales[2 &* x.groups])
        close(sums, 3, d0, d1, scales[3 &* x.groups])
        w += 2048
        v += groupSize
    }
}

private func eight(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int, _ next: UnsafeRawPointer?, _ sums: UnsafeMutablePointer<F16>
) {
    for k in 0..<16 { sums[k] = .zero }
    let n = x.groups
    let width = n &* groupSize
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* width
    var u = v + 4 &* width
    let width3 = 3 &* width
    for g in 0..<n {
        prefetchTile(next, group: g)
        let s = x.sums + (t &* n &+ g), scales = x.scales + (t &* n &+ g)
        var a0 = _mm512_set1_epi32(0 &- s[0]), a1 = a0
        var b0 = _mm512_set1_epi32(0 &- s[n]), b1 = b0
        var c0 = _mm512_set1_epi32(0 &- s[2 &* n]), c1 = c0
        var d0 = _mm512_set1_epi32(0 &- s[3 &* n]), d1 = d0
        var e0 = _mm512_set1_epi32(0 &- s[4 &* n]), e1 = e0
        var f0 = _mm512_set1_epi32(0 &- s[5 &* n]), f1 = f0
        var g0 = _mm512_set1_epi32(0 &- s[6 &* n]), g1 = g0
        var h0 = _mm512_set1_epi32(0 &- s[7 &* n]), h1 = h0
        sixteenTimes { i in
            let w0 = load64(w + 128 &* i), w1 = load64(w + (128 &* i &+ 64)), v = v + 4 &* i, u = u + 4 &* i
            let qa = broadcast(v), qb = broadcast(v + width)
            a0 = _mm512_dpbusd_epi32(a0, w0, qa)
            a1 = _mm512_dpbusd_epi32(a1, w1, qa)
            b0 = _mm512_dpbusd_epi32(b0, w0, qb)
            b1 = _mm512_dpbusd_epi32(b1, w1, qb)
            let qc = broadcast(v + 2 &* width), qd = broadcast(v + width3)
            c0 = _mm512_dpbusd_epi32(c0, w0, qc)
            c1 = _mm512_dpbusd_epi32(c1, w1, qc)
            d0 = _mm512_dpbusd_epi32(d0, w0, qd)
            d1 = _mm512_dpbusd_epi32(d1, w1, qd)
            let qe = broadcast(u), qf = broadcast(u + width)
            e0 = _mm512_dpbusd_epi32(e0, w0, qe)
            e1 = _mm512_dpbusd_epi32(e1, w1, qe)
            f0 = _mm512_dpbusd_epi32(f0, w0, qf)
            f1 = _mm512_dpbusd_epi32(f1, w1, qf)
            let qg = broadcast(u + 2 &* width), qh = broadcast(u + width3)
            g0 = _mm512_dpbusd_epi32(g0, w0, qg)
            g1 = _mm512_dpbusd_epi32(g1, w1, qg)
            h0 = _mm512_dpbusd_epi32(h0, w0, qh)
            h1 = _mm512_dpbusd_epi32(h1, w1, qh)
        }
        close(sums, 0, a0, a1, scales[0])
        close(sums, 1, b0, b1, scales[n])
        close(sums, 2, c0, c1, scales[2 &* n])
        close(sums, 3, d0, d1, scales[3 &* n])
        close(sums, 4, e0, e1, scales[4 &* n])
        close(sums, 5, f0, f1, scales[5 &* n])
        close(sums, 6, g0, g1, scales[6 &* n])
        close(sums, 7, h0, h1, scales[7 &* n])
        w += 2048
        v += groupSize
        u += groupSize
    }
}
#endif
