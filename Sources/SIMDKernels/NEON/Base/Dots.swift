// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products without `sdot` (Cortex-A53, A57, A72, A73): the primitives in which the two NEON sets differ.

import _Builtin_intrinsics.arm.neon

let setName = "neon"

/// Adds sixteen products to four sums. |weight| and |x| are at most 127, so two products fit 16 bits:
/// `smull` and `smlal2` make eight pairs, `sadalp` adds them to the sums.
@inline(__always)
func accumulate(_ sums: int32x4_t, _ weights: int8x16_t, _ x: int8x16_t) -> int32x4_t {
    let pairs = vmlal_high_s8(vmull_s8(vget_low_s8(weights), vget_low_s8(x)), weights, x)
    return vpadalq_s16(sums, pairs)
}

/// Where the bytes of four outputs, four inputs each, lie in a register, so that `accumulate` brings the
/// inputs of one output together: their first two in the low half, the other two in the high half.
@inline(__always)
func arrange(_ outputs: int8x16_t) -> int8x16_t {
    vqtbl1q_s8(outputs, uint8x16_t(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15))
}

/// Four outputs from two interleaved inputs each, and the other two inputs of the same outputs.
@inline(__always)
func arrangeLow(_ ab: int8x16_t, _ cd: int8x16_t) -> int8x16_t {
    unsafeBitCast(
        vzip1q_s64(unsafeBitCast(ab, to: int64x2_t.self), unsafeBitCast(cd, to: int64x2_t.self)),
        to: int8x16_t.self)
}

/// The same for the next four outputs.
@inline(__always)
func arrangeHigh(_ ab: int8x16_t, _ cd: int8x16_t) -> int8x16_t {
    unsafeBitCast(
        vzip2q_s64(unsafeBitCast(ab, to: int64x2_t.self), unsafeBitCast(cd, to: int64x2_t.self)),
        to: int8x16_t.self)
}

/// The sums of four outputs with 4-bit weights, four adjacent inputs of each at a time. The products of eight
/// such steps, and pairs of their sums, fit 16 bits: 2 * 8 * 15 * 127 = 30480.
struct QuadSums {
    private var low = int16x8_t.zero, high = int16x8_t.zero

    @inline(__always)
    mutating func add(_ weights: int8x16_t, _ x: int8x16_t) {
        low = vmlal_s8(low, vget_low_s8(weights), vget_low_s8(x))
        high = vmlal_high_s8(high, weights, x)
    }

    var total: int32x4_t { vpaddlq_s16(vpaddq_s16(low, high)) }
}
#endif
