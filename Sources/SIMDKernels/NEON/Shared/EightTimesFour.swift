// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// What 4-bit tiles of `sdot` and of `smmla` have in common: eight rows times four tokens, from a half group's integer sums on.

import Builtin
import KernelTable
import _Builtin_intrinsics.arm.neon

/// Eight rows' sums, four to a register.
typealias Eight = (float32x4_t, float32x4_t)
typealias EightIntegers = (int32x4_t, int32x4_t)
/// Eight rows' sums of four tokens.
typealias EightTimesFour = (Eight, Eight, Eight, Eight)

/// Eight adjacent floats.
@inline(__always)
func loadEight(_ p: UnsafeRawPointer) -> Eight {
    (p.loadUnaligned(as: float32x4_t.self), (p + 16).loadUnaligned(as: float32x4_t.self))
}

/// `Float(sum) * d + m * inputs`, row by row. (Fused, which rounds alike: m times the inputs' sum is exact,
/// docs/NUMERICS.md, 11.)
@inline(__always)
func scaled(_ sums: EightIntegers, _ d: Eight, _ m: Eight, _ inputs: Float) -> Eight {
    (
        vfmaq_n_f32(vmulq_f32(vcvtq_f32_s32(sums.0), d.0), m.0, inputs),
        vfmaq_n_f32(vmulq_f32(vcvtq_f32_s32(sums.1), d.1), m.1, inputs)
    )
}

/// Adds `(p + q) * scale`.
@inline(__always)
func add(_ p: Eight, _ q: Eight, times scale: Float, to totals: inout Eight) {
    totals.0 = vaddq_f32(totals.0, vmulq_n_f32(vaddq_f32(p.0, q.0), scale))
    totals.1 = vaddq_f32(totals.1, vmulq_n_f32(vaddq_f32(p.1, q.1), scale))
}

/// Adds `groups` groups of eight rows times four tokens, whose scales are at `scales`, and the sums of the inputs of whose half
/// groups at `halves`. `sums` computes a half group's sums without scales.
///
/// What the first half of a group adds goes to memory, `partial`, before the second is begun: else the compiler interleaves
/// both, whose sums exceed the registers together.
@inline(__always)
func addGroups(
    _ groups: Int, _ scales: FourPointers, _ halves: FourPointers, _ partial: UnsafeMutablePointer<EightTimesFour>,
    halfGroup: (_ h: Int, _ inputs: (Float, Float, Float, Float)) -> EightTimesFour
) -> EightTimesFour {
    let zero: Eight = (.zero, .zero)
    var totals: EightTimesFour = (zero, zero, zero, zero)
    @inline(__always) func pair(_ p: UnsafePointer<Float>, _ g: Int) -> SIMD2<Float> {
        UnsafeRawPointer(p + 2 &* g).loadUnaligned(as: SIMD2<Float>.self)
    }
    for g in 0..<groups {
        let a = pair(halves.0, g), b = pair(halves.1, g), c = pair(halves.2, g), d = pair(halves.3, g)
        partial.pointee = halfGroup(2 &* g, (a[0], b[0], c[0], d[0]))
        Builtin.fence_seqcst_singlethread()
        let q = halfGroup(2 &* g &+ 1, (a[1], b[1], c[1], d[1])), p = partial.pointee
        add(p.0, q.0, times: scales.0[g], to: &totals.0)
        add(p.1, q.1, times: scales.1[g], to: &totals.1)
        add(p.2, q.2, times: scales.2[g], to: &totals.2)
        add(p.3, q.3, times: scales.3[g], to: &totals.3)
    }
    return totals
}

/// Where something of each of four tokens begins.
typealias FourPointers = (UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>)
typealias FourTokens = (Int, Int, Int, Int)

/// `each` floats of every token are adjacent.
@inline(__always)
func pointers(_ p: UnsafePointer<Float>, _ each: Int, _ t: FourTokens) -> FourPointers {
    (p + each &* t.0, p + each &* t.1, p + each &* t.2, p + each &* t.3)
}

/// The t-th token and the next three; those past the last are the last one again.
@inline(__always)
func fourTokens(from t: Int, of count: Int) -> FourTokens {
    let last = count &- 1
    return (t, Swift.min(t &+ 1, last), Swift.min(t &+ 2, last), Swift.min(t &+ 3, last))
}
#endif
