// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products of rows: the per-ISA primitive of ../../Shared/Tile16/RowDots.swift.

import KernelTable
import _Builtin_intrinsics.arm.neon

@inline(__always)
func fourDots(
    _ x: QuantizedRows, _ g: Int, _ r0: UnsafeRawPointer, _ r1: UnsafeRawPointer, _ r2: UnsafeRawPointer,
    _ r3: UnsafeRawPointer
) -> SIMD4<Float> {
    let at = g &* groupSize
    let x = UnsafeRawPointer(x.values) + at
    let xa = load16(x), xb = load16(x + 16), xc = load16(x + 32), xd = load16(x + 48)
    @inline(__always) func product(_ row: UnsafeRawPointer) -> int32x4_t {
        let low = accumulate(accumulate(.zero, load16(row + at), xa), load16(row + at + 16), xb)
        return accumulate(accumulate(low, load16(row + at + 32), xc), load16(row + at + 48), xd)
    }
    return vcvtq_f32_s32(vpaddq_s32(vpaddq_s32(product(r0), product(r1)), vpaddq_s32(product(r2), product(r3))))
}
#endif
