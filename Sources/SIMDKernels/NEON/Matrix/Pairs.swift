// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// What the tiles of `smmla` share. It multiplies two tokens' eight inputs by those of two rows: a register of sums has a
// token's two rows in each half. Tiles lie accordingly: for every eight inputs, eight registers of two rows each, 128 bytes.

import KernelTable
import _Builtin_intrinsics.arm.neon

@inline(__always)
func load16(_ p: UnsafeRawPointer) -> int8x16_t { p.loadUnaligned(as: int8x16_t.self) }

/// Products of a step.
let productsPerStep = 32

/// Adds the products of two tokens' eight inputs and those of two rows.
@inline(__always)
func accumulate(_ sums: int32x4_t, _ x: int8x16_t, _ rows: int8x16_t) -> int32x4_t { vmmlaq_s32(sums, x, rows) }

/// Eight rows' sums for two tokens, in pairs of rows.
typealias PairSums = (int32x4_t, int32x4_t, int32x4_t, int32x4_t)
typealias PairTotals = (float32x4_t, float32x4_t, float32x4_t, float32x4_t)

/// The first eight of sixteen inputs of two tokens, and the other eight.
@inline(__always)
func bothTokens(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer) -> (int8x16_t, int8x16_t) {
    let a = unsafeBitCast(load16(a), to: int64x2_t.self), b = unsafeBitCast(load16(b), to: int64x2_t.self)
    return (
        unsafeBitCast(vzip1q_s64(a, b), to: int8x16_t.self), unsafeBitCast(vzip2q_s64(a, b), to: int8x16_t.self)
    )
}

/// Two numbers, each for both rows of a pair.
@inline(__always)
func both(_ a: Float, _ b: Float) -> float32x4_t { vcombine_f32(vdup_n_f32(a), vdup_n_f32(b)) }

/// The integer sums of `steps` times sixteen inputs: eight rows, whose weights begin at `w`, times four tokens.
@inline(__always)
func pairSums(
    _ w: UnsafeRawPointer, _ steps: Int, _ va: UnsafeRawPointer, _ vb: UnsafeRawPointer, _ vc: UnsafeRawPointer,
    _ vd: UnsafeRawPointer
) -> (PairSums, PairSums) {
    var ab: PairSums = (.zero, .zero, .zero, .zero), cd = ab
    for k in 0..<steps {
        let x = bothTokens(va + 16 &* k, vb + 16 &* k), y = bothTokens(vc + 16 &* k, vd + 16 &* k)
        @inline(__always) func step(_ w: UnsafeRawPointer, _ x: int8x16_t, _ y: int8x16_t) {
            let w0 = load16(w), w1 = load16(w + 16), w2 = load16(w + 32), w3 = load16(w + 48)
            ab = (accumulate(ab.0, x, w0), accumulate(ab.1, x, w1), accumulate(ab.2, x, w2), accumulate(ab.3, x, w3))
            cd = (accumulate(cd.0, y, w0), accumulate(cd.1, y, w1), accumulate(cd.2, y, w2), accumulate(cd.3, y, w3))
        }
        step(w + 256 &* k, x.0, y.0)
        step(w + (256 &* k &+ 128), x.1, y.1)
    }
    return (ab, cd)
}

/// Stores eight rows' totals of two tokens, `count` of the rows wanted, times their scales if there are any, plus their biases.
@inline(__always)
func store(
    _ t: PairTotals, _ scales: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?, _ count: Int,
    _ first: UnsafeMutablePointer<Float>?, _ second: UnsafeMutablePointer<Float>?
) {
    @inline(__always) func halves(_ a: float32x4_t, _ b: float32x4_t) -> (float32x4_t, float32x4_t) {
        let a = unsafeBitCast(a, to: int64x2_t.self), b = unsafeBitCast(b, to: int64x2_t.self)
        return (
            unsafeBitCast(vzip1q_s64(a, b), to: float32x4_t.self), unsafeBitCast(vzip2q_s64(a, b), to: float32x4_t.self)
        )
    }
    let low = halves(t.0, t.1), high = halves(t.2, t.3)
    if let first { store((low.0, high.0), scales, bias, count, first) }
    if let second { store((low.1, high.1), scales, bias, count, second) }
}

/// The same for one token.
@inline(__always)
func store(
    _ totals: Eight, _ scales: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?, _ count: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    guard count >= 8 else {
        let y = SIMD8(lowHalf: totals.0, highHalf: totals.1)
        for k in 0..<count {
            let y = scales.map { y[k] * $0[k] } ?? y[k]
            out[k] = bias.map { y + $0[k] } ?? y
        }
        return
    }
    var y = totals
    if let scales {
        let scales = loadEight(scales)
        y = (vmulq_f32(y.0, scales.0), vmulq_f32(y.1, scales.1))
    }
    if let bias {
        let bias = loadEight(bias)
        y = (vaddq_f32(y.0, bias.0), vaddq_f32(y.1, bias.1))
    }
    UnsafeMutableRawPointer(out).storeBytes(of: y.0, as: float32x4_t.self)
    UnsafeMutableRawPointer(out + 4).storeBytes(of: y.1, as: float32x4_t.self)
}
#endif
