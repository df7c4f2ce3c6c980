// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
// Compiled in both sets of 256 bits: the per-ISA primitives of ../../Shared, which Swift's SIMD types do not lower to a few
// instructions. Products are in Dots.swift of each set.

import _Builtin_intrinsics.intel

typealias Bytes32 = __m256i
typealias Register = __m256i

/// Bytes from the rows being read to what is prefetched after them, at least. (Zen 3, widths 576 to 3,584: the next four
/// rows are far enough; twice as far is 10 % slower.)
let leastPrefetchBytes = 2048

/// How many sums of sixteen lanes the registers hold beside what is added to them.
let accumulators = 4

@inline(__always)
func vmax(_ a: F16, _ b: F16) -> F16 {
    F16(lowHalf: _mm256_max_ps(a.lowHalf, b.lowHalf), highHalf: _mm256_max_ps(a.highHalf, b.highHalf))
}

@inline(__always)
func vmin(_ a: F16, _ b: F16) -> F16 {
    F16(lowHalf: _mm256_min_ps(a.lowHalf, b.lowHalf), highHalf: _mm256_min_ps(a.highHalf, b.highHalf))
}

@inline(__always)
func loadHalves(_ p: UnsafePointer<UInt16>) -> F16 {
    let p = UnsafeRawPointer(p)
    return F16(
        lowHalf: _mm256_cvtph_ps(p.loadUnaligned(as: __m128i.self)),
        highHalf: _mm256_cvtph_ps((p + 16).loadUnaligned(as: __m128i.self)))
}

@inline(__always)
func loadBytes(_ p: UnsafePointer<Int8>) -> F16 {
    let v = UnsafeRawPointer(p).loadUnaligned(as: SIMD2<Int64>.self)
    let low = SIMD2(v[0], 0)
    let high = SIMD2(v[1], 0)
    return F16(
        lowHalf: _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low)),
        highHalf: _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)))
}

@inline(__always)
func storeBytes(_ v: I16, _ p: UnsafeMutablePointer<Int8>) {
    @inline(__always) func words(_ v: SIMD8<Int32>) -> __m128i {
        _mm_packs_epi32(
            unsafeBitCast(v.lowHalf, to: __m128i.self), unsafeBitCast(v.highHalf, to: __m128i.self))
    }
    let bytes = _mm_packs_epi16(words(v.lowHalf), words(v.highHalf))
    UnsafeMutableRawPointer(p).storeBytes(of: bytes, as: __m128i.self)
}

/// Writes `first + l` for every lane l with a score of at least `least`, contiguously; returns how many. Room for
/// sixteen is overwritten.
@inline(__always)
func storeIndices(_ first: Int32, _ scores: F16, _ least: Float, _ out: UnsafeMutablePointer<Int32>) -> Int {
    let hits = I16.zero.replacing(with: -1, where: scores .>= F16(repeating: least))
    @inline(__always) func mask(_ half: SIMD8<Int32>) -> UInt32 {
        UInt32(bitPattern: _mm256_movemask_ps(unsafeBitCast(half, to: __m256.self)))
    }
    return storeIndices(first, mask(hits.lowHalf) | mask(hits.highHalf) &<< 8, out)
}

/// The sum of the 32-bit lanes.
@inline(__always)
func total(_ v: __m256i) -> Int32 { unsafeBitCast(v, to: SIMD8<Int32>.self).wrappedSum() }

@inline(__always)
func load32(_ p: UnsafeRawPointer) -> Bytes32 { p.loadUnaligned(as: Bytes32.self) }
#endif
