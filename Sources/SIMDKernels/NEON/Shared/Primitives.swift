// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Compiled in both NEON targets: the per-ISA primitives of ../../Shared, which Swift's SIMD types do not lower to
// a few instructions, and how bytes are loaded. Products are in Dots.swift of each set.

import KernelTable
import _Builtin_intrinsics.arm.neon

/// A function of four lanes, on sixteen.
@inline(__always)
func fourTimes(_ a: F16, _ b: F16, _ f: (float32x4_t, float32x4_t) -> float32x4_t) -> F16 {
    F16(
        lowHalf: SIMD8(
            lowHalf: f(a.lowHalf.lowHalf, b.lowHalf.lowHalf), highHalf: f(a.lowHalf.highHalf, b.lowHalf.highHalf)),
        highHalf: SIMD8(
            lowHalf: f(a.highHalf.lowHalf, b.highHalf.lowHalf), highHalf: f(a.highHalf.highHalf, b.highHalf.highHalf)))
}

/// Bytes from the rows being read to what is prefetched after them, at least. (Chosen like that of AVX2, not
/// measured.)
let leastPrefetchBytes = 2048

/// How many sums of sixteen lanes the registers hold beside what is added to them.
let accumulators = 4

/// `a > b ? a : b`, lane by lane. (`fmax` treats NaN and zeros otherwise.)
@inline(__always)
func vmax(_ a: F16, _ b: F16) -> F16 { fourTimes(a, b) { vbslq_f32(vcgtq_f32($0, $1), $0, $1) } }

/// `a < b ? a : b`, lane by lane.
@inline(__always)
func vmin(_ a: F16, _ b: F16) -> F16 { fourTimes(a, b) { vbslq_f32(vcltq_f32($0, $1), $0, $1) } }

@inline(__always)
func loadHalves(_ p: UnsafePointer<UInt16>) -> F16 {
    @inline(__always) func four(_ i: Int) -> float32x4_t {
        vcvt_f32_f16(UnsafeRawPointer(p + i).loadUnaligned(as: float16x4_t.self))
    }
    return F16(
        lowHalf: SIMD8(lowHalf: four(0), highHalf: four(4)),
        highHalf: SIMD8(lowHalf: four(8), highHalf: four(12)))
}

@inline(__always)
func loadBytes(_ p: UnsafePointer<Int8>) -> F16 {
    @inline(__always) func eight(_ bytes: int8x8_t) -> SIMD8<Float> {
        let words = vmovl_s8(bytes)
        return SIMD8(
            lowHalf: vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))),
            highHalf: vcvtq_f32_s32(vmovl_high_s16(words)))
    }
    let bytes = load16(p)
    return F16(lowHalf: eight(vget_low_s8(bytes)), highHalf: eight(vget_high_s8(bytes)))
}

/// The values are bytes already, so narrowing only drops what is empty.
@inline(__always)
func storeBytes(_ v: I16, _ p: UnsafeMutablePointer<Int8>) {
    let low = vmovn_high_s32(vmovn_s32(v.lowHalf.lowHalf), v.lowHalf.highHalf)
    let high = vmovn_high_s32(vmovn_s32(v.highHalf.lowHalf), v.highHalf.highHalf)
    UnsafeMutableRawPointer(p).storeBytes(of: vmovn_high_s16(vmovn_s16(low), high), as: int8x16_t.self)
}

/// Writes `first + l` for every lane l with a score of at least `least`, contiguously; returns how many. Room for
/// sixteen is overwritten.
@inline(__always)
func storeIndices(_ first: Int32, _ scores: F16, _ least: Float, _ out: UnsafeMutablePointer<Int32>) -> Int {
    let hits = SIMD16<UInt32>.zero.replacing(with: .max, where: scores .>= F16(repeating: least))
    let bits = hits & SIMD16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
    let eight = bits.lowHalf | bits.highHalf
    return storeIndices(first, vaddvq_u32(eight.lowHalf | eight.highHalf), out)
}

/// Products of a step.
let productsPerStep = 16

/// Four registers of bytes: sixteen rows of four inputs each, or sixteen columns of four rows, or one row.
typealias Quads = (int8x16_t, int8x16_t, int8x16_t, int8x16_t)
/// The integer sums of sixteen columns.
typealias Columns = (int32x4_t, int32x4_t, int32x4_t, int32x4_t)

@inline(__always)
func load16(_ p: UnsafeRawPointer) -> int8x16_t { p.loadUnaligned(as: int8x16_t.self) }

@inline(__always)
func loadQuads(_ p: UnsafeRawPointer) -> Quads { (load16(p), load16(p + 16), load16(p + 32), load16(p + 48)) }

/// The same of four activations.
@inline(__always)
func spread(_ four: Int32) -> int8x16_t {
    arrange(unsafeBitCast(int32x4_t(repeating: four), to: int8x16_t.self))
}

/// Sixteen outputs of four inputs each, from one row an input: the sums of `accumulate` then come in the
/// order of the outputs.
@inline(__always)
func interleave(_ rows: Quads) -> Quads {
    let (a, b, c, d) = rows
    let abLow = vzip1q_s8(a, b), abHigh = vzip2q_s8(a, b)
    let cdLow = vzip1q_s8(c, d), cdHigh = vzip2q_s8(c, d)
    return (
        arrangeLow(abLow, cdLow), arrangeHigh(abLow, cdLow), arrangeLow(abHigh, cdHigh),
        arrangeHigh(abHigh, cdHigh)
    )
}

/// Sixteen integer sums as floats.
@inline(__always)
func floats(_ a: int32x4_t, _ b: int32x4_t, _ c: int32x4_t, _ d: int32x4_t) -> F16 {
    F16(
        lowHalf: SIMD8(lowHalf: vcvtq_f32_s32(a), highHalf: vcvtq_f32_s32(b)),
        highHalf: SIMD8(lowHalf: vcvtq_f32_s32(c), highHalf: vcvtq_f32_s32(d)))
}
#endif
