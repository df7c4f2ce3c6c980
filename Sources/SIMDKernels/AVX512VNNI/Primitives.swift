// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
// The per-ISA primitives of ../Shared: what Swift's SIMD types do not lower to one instruction.

import _Builtin_intrinsics.intel

let setName = "avx512"

typealias Bytes64 = __m512i

/// Bytes from the rows being read to what is prefetched after them, at least. (Zen 4, width 576: 9,216 was the
/// best of 1,024 to 18,432.)
let leastPrefetchBytes = 9216

/// How many sums of sixteen lanes the registers hold beside what is added to them.
let accumulators = 16

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

/// Writes `first + l` for every lane l with a score of at least `least`, contiguously; returns how many. Room for
/// sixteen is overwritten.
@inline(__always)
func storeIndices(_ first: Int32, _ scores: F16, _ least: Float, _ out: UnsafeMutablePointer<Int32>) -> Int {
    let hits = I16.zero.replacing(with: -1, where: scores .>= F16(repeating: least))
    let mask = _mm512_movepi32_mask(unsafeBitCast(hits, to: __m512i.self))
    let lanes = I16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) &+ first
    let packed = _mm512_maskz_compress_epi32(mask, unsafeBitCast(lanes, to: __m512i.self))
    UnsafeMutableRawPointer(out).storeBytes(of: packed, as: __m512i.self)
    return mask.nonzeroBitCount
}

@inline(__always)
func load64(_ p: UnsafeRawPointer) -> Bytes64 { p.loadUnaligned(as: Bytes64.self) }

/// int8 weights as unsigned bytes, 128 too large, as vpdpbusd wants them.
@inline(__always)
func offset(_ v: Bytes64) -> Bytes64 { _mm512_xor_si512(v, _mm512_set1_epi8(-128)) }
#endif
