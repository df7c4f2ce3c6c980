// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_SSE41
// Products of rows: the per-ISA primitive of ../Shared/Tile16/RowDots.swift.

import KernelTable
import _Builtin_intrinsics.intel

@inline(__always)
func fourDots(
    _ x: QuantizedRows, _ g: Int, _ r0: UnsafeRawPointer, _ r1: UnsafeRawPointer, _ r2: UnsafeRawPointer,
    _ r3: UnsafeRawPointer
) -> SIMD4<Float> {
    let at = g &* groupSize
    let values = UnsafeRawPointer(x.values) + at
    let xa = factor(load16(values)), xb = factor(load16(values + 16))
    let xc = factor(load16(values + 32)), xd = factor(load16(values + 48))
    @inline(__always) func product(_ row: UnsafeRawPointer) -> __m128i {
        let low = accumulate(accumulate(_mm_setzero_si128(), xa, load16(row + at)), xb, load16(row + at + 16))
        return accumulate(accumulate(low, xc, load16(row + at + 32)), xd, load16(row + at + 48))
    }
    let low = _mm_hadd_epi32(product(r0), product(r1))
    let high = _mm_hadd_epi32(product(r2), product(r3))
    return _mm_cvtepi32_ps(_mm_hadd_epi32(low, high))
}
#endif
