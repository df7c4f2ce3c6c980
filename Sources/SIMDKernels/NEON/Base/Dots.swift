// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products without `sdot` (Cortex-A53, A57, A72, A73): the primitives in which the two NEON sets differ.

import KernelTable
import _Builtin_intrinsics.arm.neon

let setName = "neon"

/// Adds sixteen products to four sums. |weight| and |x| are at most 127, so two products fit 16 bits:
/// `smull` and `smlal2` make eight pairs, `sadalp` adds them to the sums.
@inline(__always)
func accumulate(_ sums: int32x4_t, _ weights: int8x16_t, _ x: int8x16_t) -> int32x4_t {
    let pairs = vmlal_high_s8(vmull_s8(vget_low_s8(weights), vget_low_s8(x)), weights, x)
    return vpadalq_s16(sums, pairs)
}

/// Nothing runs on from group to group.
struct RunningSums {}

/// Eight rows' sums, without the rows' scales: four after the other four, since the products of eight exceed the registers.
/// Activations are loaded once for four rows, whose sums of a group meet in one register, one lane per row. `eachFour` is
/// called before a group of four rows is read, with the number of the first and the offset of the group.
@inline(__always)
func eightDots(
    _ rows: UnsafePointer<UnsafeRawPointer>, _ x: QuantizedRows, _: inout RunningSums, eachFour: (Int, Int) -> Void
) -> Eight {
    @inline(__always) func four(_ first: Int) -> float32x4_t {
        let r0 = rows[first], r1 = rows[first &+ 1], r2 = rows[first &+ 2], r3 = rows[first &+ 3]
        var total = float32x4_t.zero
        for g in 0..<x.groups {
            let at = g &* groupSize
            eachFour(first, at)
            let xs = loadQuads(UnsafeRawPointer(x.values) + at)
            let low = vpaddq_s32(products(loadQuads(r0 + at), xs), products(loadQuads(r1 + at), xs))
            let high = vpaddq_s32(products(loadQuads(r2 + at), xs), products(loadQuads(r3 + at), xs))
            total = vaddq_f32(total, vmulq_n_f32(vcvtq_f32_s32(vpaddq_s32(low, high)), x.scales[g]))
        }
        return total
    }
    let low = four(0)
    return (low, four(4))
}

/// The products of a row's group in four sums.
@inline(__always)
private func products(_ row: Quads, _ x: Quads) -> int32x4_t {
    @inline(__always) func pairs(_ row: int8x16_t, _ x: int8x16_t) -> int16x8_t {
        vmlal_high_s8(vmull_s8(vget_low_s8(row), vget_low_s8(x)), row, x)
    }
    let sums = vpadalq_s16(vpaddlq_s16(pairs(row.0, x.0)), pairs(row.1, x.1))
    return vpadalq_s16(vpadalq_s16(sums, pairs(row.2, x.2)), pairs(row.3, x.3))
}

/// Four activations of four neurons, each in all lanes, and what they add to sixteen columns, given those of their rows.
/// Two neurons' products fit 16 bits; to interleave rows and add four, as with `sdot`, would take more instructions.
typealias FourInputs = Quads

@inline(__always)
func fourInputs(_ p: UnsafeRawPointer) -> FourInputs {
    @inline(__always) func one(_ k: Int) -> int8x16_t { vdupq_n_s8((p + k).load(as: Int8.self)) }
    return (one(0), one(1), one(2), one(3))
}

@inline(__always)
func addNeurons(_ s: inout Columns, _ rows: Quads, _ x: FourInputs) {
    @inline(__always) func add(_ pairs: int16x8_t, _ low: inout int32x4_t, _ high: inout int32x4_t) {
        low = vaddw_s16(low, vget_low_s16(pairs))
        high = vaddw_high_s16(high, pairs)
    }
    @inline(__always) func low(_ a: int8x16_t, _ xa: int8x16_t, _ b: int8x16_t, _ xb: int8x16_t) -> int16x8_t {
        vmlal_s8(vmull_s8(vget_low_s8(a), vget_low_s8(xa)), vget_low_s8(b), vget_low_s8(xb))
    }
    @inline(__always) func high(_ a: int8x16_t, _ xa: int8x16_t, _ b: int8x16_t, _ xb: int8x16_t) -> int16x8_t {
        vmlal_high_s8(vmull_high_s8(a, xa), b, xb)
    }
    add(low(rows.0, x.0, rows.1, x.1), &s.0, &s.1)
    add(low(rows.2, x.2, rows.3, x.3), &s.0, &s.1)
    add(high(rows.0, x.0, rows.1, x.1), &s.2, &s.3)
    add(high(rows.2, x.2, rows.3, x.3), &s.2, &s.3)
}

/// The k-th four of sixteen activations for every output, arranged like the weights that they meet.
@inline(__always)
func spread(_ x: int32x4_t, _ k: Int) -> int8x16_t {
    let quad: SIMD16<UInt8> = uint8x16_t(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3)
    return vqtbl1q_s8(
        unsafeBitCast(x, to: int8x16_t.self), quad &+ uint8x16_t(repeating: UInt8(truncatingIfNeeded: 4 &* k)))
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
