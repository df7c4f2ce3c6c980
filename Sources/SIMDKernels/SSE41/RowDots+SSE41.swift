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
    let xa = load16(values), xb = load16(values + 16), xc = load16(values + 32), xd = load16(values + 48)
    @inline(__always) func product(_ row: UnsafeRawPointer) -> __m128i {
        @inline(__always) func add(_ sums: __m128i, _ at: Int, _ x: Bytes16) -> __m128i {
            let w = load16(row + at)
            return accumulate(sums, _mm_abs_epi8(w), w, x)
        }
        let low = add(add(_mm_setzero_si128(), at, xa), at &+ 16, xb)
        return add(add(low, at &+ 32, xc), at &+ 48, xd)
    }
    let low = _mm_hadd_epi32(product(r0), product(r1))
    let high = _mm_hadd_epi32(product(r2), product(r3))
    return _mm_cvtepi32_ps(_mm_hadd_epi32(low, high))
}
#endif
