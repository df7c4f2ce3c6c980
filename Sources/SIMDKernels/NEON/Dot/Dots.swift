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

/// The products of a row's group, added to the sums of the groups before it: to begin anew would take an instruction for
/// each row, where `groupSums` takes one for four.
@inline(__always)
func rowSums(_ sums: int32x4_t, _ row: Quads, _ x: Quads) -> int32x4_t {
    accumulate(accumulate(accumulate(accumulate(sums, row.0, x.0), row.1, x.1), row.2, x.2), row.3, x.3)
}

/// What the last group added (modulo 2^32, as the sums are).
@inline(__always)
func groupSums(_ sums: int32x4_t, _ before: int32x4_t) -> int32x4_t { vsubq_s32(sums, before) }

/// Four activations of four neurons, and what they add to sixteen columns, given those of their rows.
typealias FourInputs = int8x16_t

@inline(__always)
func fourInputs(_ p: UnsafeRawPointer) -> FourInputs { unsafeBitCast(vdupq_n_s32(p.loadUnaligned(as: Int32.self)), to: int8x16_t.self) }

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
