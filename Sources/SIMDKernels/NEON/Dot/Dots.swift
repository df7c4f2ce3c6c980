// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products with `sdot` (Cortex-A55, A76, Neoverse-N1 and later): the primitives in which
// the two NEON sets differ.

import KernelTable
import _Builtin_intrinsics.arm.neon

let setName = "neondot"

/// Adds sixteen products to four sums, each of four adjacent ones.
@inline(__always)
func accumulate(_ sums: int32x4_t, _ weights: int8x16_t, _ x: int8x16_t) -> int32x4_t {
    vdotq_s32(sums, weights, x)
}

/// The integer sums of eight rows, and what those of four and four were after the last group. They run on over groups and
/// rows, modulo 2^32, and a group's is what it has added: that takes an instruction for four rows, where to begin anew takes
/// one for each.
struct RunningSums {
    fileprivate var s0 = int32x4_t.zero, s1 = int32x4_t.zero, s2 = int32x4_t.zero, s3 = int32x4_t.zero
    fileprivate var s4 = int32x4_t.zero, s5 = int32x4_t.zero, s6 = int32x4_t.zero, s7 = int32x4_t.zero
    fileprivate var low = int32x4_t.zero, high = int32x4_t.zero
}

/// Eight rows' sums, without the rows' scales: their activations are loaded once, and the sums of a group meet in two
/// registers, one lane per row. `eachFour` is called before a group of four rows is read, with the number of the first and
/// the offset of the group.
@inline(__always)
func eightDots(
    _ rows: UnsafePointer<UnsafeRawPointer>, _ x: QuantizedRows, _ sums: inout RunningSums, eachFour: (Int, Int) -> Void
) -> Eight {
    let r0 = rows[0], r1 = rows[1], r2 = rows[2], r3 = rows[3], r4 = rows[4], r5 = rows[5], r6 = rows[6], r7 = rows[7]
    var totals: Eight = (.zero, .zero)
    for g in 0..<x.groups {
        let at = g &* groupSize
        eachFour(0, at)
        eachFour(4, at)
        let xs = loadQuads(UnsafeRawPointer(x.values) + at)
        @inline(__always) func add(_ s: inout int32x4_t, _ row: UnsafeRawPointer) {
            let r = loadQuads(row + at)
            s = accumulate(accumulate(accumulate(accumulate(s, r.0, xs.0), r.1, xs.1), r.2, xs.2), r.3, xs.3)
        }
        add(&sums.s0, r0)
        add(&sums.s1, r1)
        add(&sums.s2, r2)
        add(&sums.s3, r3)
        add(&sums.s4, r4)
        add(&sums.s5, r5)
        add(&sums.s6, r6)
        add(&sums.s7, r7)
        let low = vpaddq_s32(vpaddq_s32(sums.s0, sums.s1), vpaddq_s32(sums.s2, sums.s3))
        let high = vpaddq_s32(vpaddq_s32(sums.s4, sums.s5), vpaddq_s32(sums.s6, sums.s7))
        let scale = x.scales[g]
        totals.0 = vaddq_f32(totals.0, vmulq_n_f32(vcvtq_f32_s32(vsubq_s32(low, sums.low)), scale))
        totals.1 = vaddq_f32(totals.1, vmulq_n_f32(vcvtq_f32_s32(vsubq_s32(high, sums.high)), scale))
        (sums.low, sums.high) = (low, high)
    }
    return totals
}

/// Four activations of four neurons, and what they add to sixteen columns, given those of their rows.
typealias FourInputs = int8x16_t

@inline(__always)
func fourInputs(_ p: UnsafeRawPointer) -> FourInputs {
    unsafeBitCast(vdupq_n_s32(p.loadUnaligned(as: Int32.self)), to: int8x16_t.self)
}

@inline(__always)
func addNeurons(_ s: inout Columns, _ rows: Quads, _ x: FourInputs) {
    let v = interleave(rows)
    s.0 = accumulate(s.0, v.0, x)
    s.1 = accumulate(s.1, v.1, x)
    s.2 = accumulate(s.2, v.2, x)
    s.3 = accumulate(s.3, v.3, x)
}

/// The k-th four of sixteen activations for every output, arranged like the weights that they meet.
@inline(__always)
func spread(_ x: int32x4_t, _ k: Int) -> int8x16_t { four(x, k) }

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
