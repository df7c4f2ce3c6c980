// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

/// What a half group of sixteen rows adds, without the activations' scale.
@inline(__always)
func halfGroup(_ record: UnsafeRawPointer, _ values: UnsafeRawPointer, _ sum: Float) -> F16 {
    HalfGroup(record).products(values, sum)
}

/// Adds a group of sixteen rows times some tokens to the tokens' sums. It is unpacked once for all of them.
@inline(__always)
func addGroup(
    _ record: UnsafeRawPointer, _ x: QuantizedRows, _ g: Int, _ tokens: Int, _ halves: UnsafePointer<Float>,
    to sums: UnsafeMutablePointer<F16>
) {
    let first = HalfGroup(record), second = HalfGroup(record + FourBitRows.recordBytes)
    var values = UnsafeRawPointer(x.values) + g &* groupSize
    var scale = x.scales + g, halves = halves
    for t in 0..<tokens {
        let products = first.products(values, halves[0]) + second.products(values + halfGroupSize, halves[1])
        sums[t] += products * scale[0]
        values += x.groups &* groupSize
        scale += x.groups
        halves += 2 &* x.groups
    }
}

/// A half group of sixteen rows, unpacked.
private struct HalfGroup {
    let a, b, c, d, e, f, g, h: Bytes64
    let factors, minima: F16

    @inline(__always)
    init(_ record: UnsafeRawPointer) {
        let p = load64(record + 64), q = load64(record + 128), r = load64(record + 192), s = load64(record + 256)
        (a, b, c, d) = (low(p), high(p), low(q), high(q))
        (e, f, g, h) = (low(r), high(r), low(s), high(s))
        let scales = record.assumingMemoryBound(to: UInt16.self)
        (factors, minima) = (loadHalves(scales), loadHalves(scales + 16))
    }

    /// Eight vpdpbusd. The product of the sum and m is exact, so that to fuse it with the addition changes nothing.
    @inline(__always)
    func products(_ values: UnsafeRawPointer, _ sum: Float) -> F16 {
        // Two chains, since one is as long as what a token takes.
        var p = _mm512_dpbusd_epi32(_mm512_setzero_si512(), a, broadcast(values))
        var q = _mm512_dpbusd_epi32(_mm512_setzero_si512(), b, broadcast(values + 4))
        p = _mm512_dpbusd_epi32(p, c, broadcast(values + 8))
        q = _mm512_dpbusd_epi32(q, d, broadcast(values + 12))
        p = _mm512_dpbusd_epi32(p, e, broadcast(values + 16))
        q = _mm512_dpbusd_epi32(q, f, broadcast(values + 20))
        p = _mm512_dpbusd_epi32(p, g, broadcast(values + 24))
        q = _mm512_dpbusd_epi32(q, h, broadcast(values + 28))
        let products = _mm512_cvtepi32_ps(_mm512_add_epi32(p, q))
        return _mm512_fmadd_ps(minima, F16(repeating: sum), products * factors)
    }
}

@inline(__always)
func broadcast(_ p: UnsafeRawPointer) -> __m512i { _mm512_set1_epi32(p.loadUnaligned(as: Int32.self)) }

/// The low nibbles, a byte each.
@inline(__always)
func low(_ v: Bytes64) -> Bytes64 { _mm512_and_si512(v, _mm512_set1_epi8(15)) }

@inline(__always)
func high(_ v: Bytes64) -> Bytes64 { low(_mm512_srli_epi16(v, 4)) }
#endif
