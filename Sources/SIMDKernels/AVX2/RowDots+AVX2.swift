// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
// Products of rows: the per-ISA primitive of ../Shared/Tile16/RowDots.swift.

import _Builtin_intrinsics.intel

@inline(__always)
func fourDots(
    _ x: UnsafePointer<Int8>, _ r0: UnsafeRawPointer, _ r1: UnsafeRawPointer, _ r2: UnsafeRawPointer,
    _ r3: UnsafeRawPointer, _ at: Int
) -> SIMD4<Float> {
    let x = UnsafeRawPointer(x) + at
    let xa = load32(x), xb = load32(x + 32)
    @inline(__always) func product(_ row: UnsafeRawPointer) -> __m256i {
        let a = load32(row + at), b = load32(row + at + 32)
        return _mm256_add_epi32(quadDots(_mm256_abs_epi8(a), a, xa), quadDots(_mm256_abs_epi8(b), b, xb))
    }
    let low = _mm256_hadd_epi32(product(r0), product(r1))
    let high = _mm256_hadd_epi32(product(r2), product(r3))
    let sums = unsafeBitCast(_mm256_hadd_epi32(low, high), to: SIMD8<Int32>.self)
    return _mm_cvtepi32_ps(unsafeBitCast(sums.lowHalf &+ sums.highHalf, to: __m128i.self))
}
#endif
