// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products with `sdot` (Cortex-A55, A76, Neoverse-N1 and later): the primitives in which
// the two NEON sets differ.

import _Builtin_intrinsics.arm.neon

let setName = "neondot"

/// Adds sixteen products to four sums, each of four adjacent ones.
@inline(__always)
func accumulate(_ sums: int32x4_t, _ weights: int8x16_t, _ x: int8x16_t) -> int32x4_t {
    vdotq_s32(sums, weights, x)
}

/// The bytes of four outputs, four inputs each, are already where `sdot` wants them.
@inline(__always)
func arrange(_ outputs: int8x16_t) -> int8x16_t { outputs }

/// Four outputs from two interleaved inputs each, and the other two inputs of the same outputs.
@inline(__always)
func arrangeLow(_ ab: int8x16_t, _ cd: int8x16_t) -> int8x16_t {
    unsafeBitCast(
        vzip1q_s16(unsafeBitCast(ab, to: int16x8_t.self), unsafeBitCast(cd, to: int16x8_t.self)),
        to: int8x16_t.self)
}

/// The same for the next four outputs.
@inline(__always)
func arrangeHigh(_ ab: int8x16_t, _ cd: int8x16_t) -> int8x16_t {
    unsafeBitCast(
        vzip2q_s16(unsafeBitCast(ab, to: int16x8_t.self), unsafeBitCast(cd, to: int16x8_t.self)),
        to: int8x16_t.self)
}

/// The sums of four outputs with 4-bit weights, four adjacent inputs of each at a time.
struct QuadSums {
    private(set) var total = int32x4_t.zero

    @inline(__always)
    mutating func add(_ weights: int8x16_t, _ x: int8x16_t) { total = vdotq_s32(total, weights, x) }
}
#endif
