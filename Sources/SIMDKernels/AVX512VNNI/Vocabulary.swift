#if arch(x86_64) && KERNELS_AVX512
// The words of Shared/*.swift that Swift's SIMD types do not lower to one instruction.

import Builtin
import _Builtin_intrinsics.intel

let setName = "avx512"

typealias Bytes64 = __m512i

@inline(__always)
func vmax(_ a: F16, _ b: F16) -> F16 { _mm512_max_ps(a, b) }

@inline(__always)
func vmin(_ a: F16, _ b: F16) -> F16 { _mm512_min_ps(a, b) }

@inline(__always)
func loadHalves(_ p: UnsafePointer<UInt16>) -> F16 {
    _mm512_cvtph_ps(UnsafeRawPointer(p).loadUnaligned(as: __m256i.self))
}

@inline(__always)
func loadBytes(_ p: UnsafePointer<Int8>) -> F16 {
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(UnsafeRawPointer(p).loadUnaligned(as: __m128i.self)))
}

@inline(__always)
func storeBytes(_ v: I16, _ p: UnsafeMutablePointer<Int8>) {
    let bytes = _mm512_cvtepi32_epi8(unsafeBitCast(v, to: __m512i.self))
    UnsafeMutableRawPointer(p).storeBytes(of: bytes, as: __m128i.self)
}

@inline(__always)
func load64(_ p: UnsafeRawPointer) -> Bytes64 { p.loadUnaligned(as: Bytes64.self) }

/// int8 weights as unsigned bytes, 128 too large, as vpdpbusd wants them.
@inline(__always)
func offset(_ v: Bytes64) -> Bytes64 { _mm512_xor_si512(v, _mm512_set1_epi8(-128)) }

/// Asks for a cache line. Through Swift's `Builtin`, because `_mm_prefetch` is a macro and `_m_prefetch` only
/// declared: calls to it vanish without a word.
@inline(__always)
func prefetch(_ p: UnsafeRawPointer) {
    Builtin.int_prefetch_RawPointer(p._rawValue, Int32(0)._value, Int32(3)._value, Int32(1)._value)
}

/// The tree sums of four vectors, their lanes meeting side by side.
@inline(__always)
func trees(_ a: F16, _ b: F16, _ c: F16, _ d: F16) -> SIMD4<Float> {
    let a8 = a.lowHalf + a.highHalf, b8 = b.lowHalf + b.highHalf
    let c8 = c.lowHalf + c.highHalf, d8 = d.lowHalf + d.highHalf
    let ab = SIMD8(lowHalf: a8.lowHalf, highHalf: b8.lowHalf) + SIMD8(lowHalf: a8.highHalf, highHalf: b8.highHalf)
    let cd = SIMD8(lowHalf: c8.lowHalf, highHalf: d8.lowHalf) + SIMD8(lowHalf: c8.highHalf, highHalf: d8.highHalf)
    let p = unsafeBitCast(ab, to: __m256d.self), q = unsafeBitCast(cd, to: __m256d.self)
    let two = unsafeBitCast(_mm256_unpacklo_pd(p, q), to: SIMD8<Float>.self)
        + unsafeBitCast(_mm256_unpackhi_pd(p, q), to: SIMD8<Float>.self)
    let one = _mm256_hadd_ps(two, two)
    return _mm_unpacklo_ps(one.lowHalf, one.highHalf)
}
#endif
