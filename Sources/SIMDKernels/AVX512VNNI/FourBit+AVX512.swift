// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

/// What a half group of sixteen rows adds, without the activations' scale: eight vpdpbusd. The product of
/// the sum and m is exact, so that to fuse it with the addition changes nothing.
@inline(__always)
func halfGroup(_ record: UnsafeRawPointer, _ values: UnsafeRawPointer, _ sum: Float) -> F16 {
    var products = _mm512_setzero_si512()
    for k in 0..<4 {
        let bytes = load64(record + (64 &+ 64 &* k))
        products = _mm512_dpbusd_epi32(products, low(bytes), broadcast(values + 8 &* k))
        products = _mm512_dpbusd_epi32(products, high(bytes), broadcast(values + (8 &* k &+ 4)))
    }
    let scales = record.assumingMemoryBound(to: UInt16.self)
    return _mm512_fmadd_ps(
        loadHalves(scales + 16), F16(repeating: sum), _mm512_cvtepi32_ps(products) * loadHalves(scales))
}

@inline(__always)
func broadcast(_ p: UnsafeRawPointer) -> __m512i { _mm512_set1_epi32(p.loadUnaligned(as: Int32.self)) }

/// The low nibbles, a byte each.
@inline(__always)
func low(_ v: Bytes64) -> Bytes64 { _mm512_and_si512(v, _mm512_set1_epi8(15)) }

@inline(__always)
func high(_ v: Bytes64) -> Bytes64 { low(_mm512_srli_epi16(v, 4)) }
#endif
