// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
// Products of rows: the per-ISA primitive of ../../Shared/Tile16/RowDots.swift.

import KernelTable
import _Builtin_intrinsics.intel

@inline(__always)
func fourDots(
    _ x: QuantizedRows, _ g: Int, _ r0: UnsafeRawPointer, _ r1: UnsafeRawPointer, _ r2: UnsafeRawPointer,
    _ r3: UnsafeRawPointer
) -> SIMD4<Float> {
    let at = g &* groupSize
    let values = UnsafeRawPointer(x.values) + at
    let xa = multiplier(load32(values)), xb = multiplier(load32(values + 32))
    @inline(__always) func product(_ row: UnsafeRawPointer) -> __m256i {
        let half = accumulate(_mm256_setzero_si256(), load32(row + at), times: xa)
        return accumulate(half, load32(row + at + 32), times: xb)
    }
    let low = _mm256_hadd_epi32(product(r0), product(r1))
    let high = _mm256_hadd_epi32(product(r2), product(r3))
    let sums = unsafeBitCast(_mm256_hadd_epi32(low, high), to: SIMD8<Int32>.self)
    let four = sums.lowHalf &+ sums.highHalf &+ SIMD4(repeating: origin(x.sums[g]))
    return _mm_cvtepi32_ps(unsafeBitCast(four, to: __m128i.self))
}
#endif
