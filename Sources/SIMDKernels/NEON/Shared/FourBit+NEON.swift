// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// 4-bit weights: half groups of the blocks that ../../Shared/Common/FourBit.swift multiplies. Sixteen floats are four
// registers here: as one `SIMD16` the compiler takes them apart into halves of registers.

import Builtin
import KernelTable
import _Builtin_intrinsics.arm.neon

/// Sixteen rows, four to a register.
typealias Sixteen = (float32x4_t, float32x4_t, float32x4_t, float32x4_t)

/// The low nibbles. (An insertion of zeros above them: of a mask, the compiler makes one for each half of a register where
/// products take halves.)
@inline(__always)
func lowNibbles(_ v: Quads) -> Quads {
    @inline(__always) func low(_ v: int8x16_t) -> int8x16_t {
        let zero = int8x16_t.zero
        return unsafeBitCast(
            Builtin.int_aarch64_neon_vsli_Vec16xInt8(v._storage._value, zero._storage._value, Int32(4)._value),
            to: int8x16_t.self)
    }
    return (low(v.0), low(v.1), low(v.2), low(v.3))
}

/// The high nibbles, by a shift that the compiler does not take apart either.
@inline(__always)
func highNibbles(_ v: Quads) -> Quads {
    @inline(__always) func high(_ v: int8x16_t) -> int8x16_t {
        unsafeBitCast(vshlq_u8(unsafeBitCast(v, to: uint8x16_t.self), int8x16_t(repeating: -4)), to: int8x16_t.self)
    }
    return (high(v.0), high(v.1), high(v.2), high(v.3))
}

/// Sixteen inputs, of which `four(k)` are those that meet a register of weights.
@inline(__always)
func inputs(_ p: UnsafeRawPointer) -> int32x4_t { p.loadUnaligned(as: int32x4_t.self) }

@inline(__always)
func four(_ x: int32x4_t, _ k: Int) -> int8x16_t { unsafeBitCast(int32x4_t(repeating: x[k]), to: int8x16_t.self) }

/// The integer sums of a half group with sixteen rows.
private struct Products {
    private var a = QuadSums(), b = QuadSums(), c = QuadSums(), d = QuadSums()

    @inline(__always)
    mutating func add(_ w: Quads, _ x: int8x16_t) {
        a.add(w.0, x)
        b.add(w.1, x)
        c.add(w.2, x)
        d.add(w.3, x)
    }

    /// `Float(sum) * d + m * inputs`, row by row.
    @inline(__always)
    func scaled(_ d: Sixteen, _ m: Sixteen, _ inputs: Float) -> Sixteen {
        (
            scale(a, d.0, m.0, inputs), scale(b, d.1, m.1, inputs), scale(c, d.2, m.2, inputs),
            scale(self.d, d.3, m.3, inputs)
        )
    }

    /// (Fused, which rounds alike: m times the inputs' sum is exact, docs/NUMERICS.md, 11.)
    @inline(__always)
    private func scale(_ sums: QuadSums, _ d: float32x4_t, _ m: float32x4_t, _ inputs: Float) -> float32x4_t {
        vfmaq_n_f32(vmulq_f32(vcvtq_f32_s32(sums.total), d), m, inputs)
    }
}

/// Sixteen halves as floats.
@inline(__always)
private func halves(_ p: UnsafeRawPointer) -> Sixteen {
    @inline(__always) func four(_ k: Int) -> float32x4_t {
        vcvt_f32_f16((p + 8 &* k).loadUnaligned(as: float16x4_t.self))
    }
    return (four(0), four(1), four(2), four(3))
}

/// What a half group of sixteen rows adds, without the activations' scale.
@inline(__always)
private func halfGroup(_ record: UnsafeRawPointer, _ values: UnsafeRawPointer, _ sum: Float) -> Sixteen {
    var p = Products()
    for k in 0..<2 {
        let x = inputs(values + 16 &* k)
        let v = loadQuads(record + (64 &+ 128 &* k)), w = loadQuads(record + (128 &+ 128 &* k))
        p.add(lowNibbles(v), four(x, 0))
        p.add(highNibbles(v), four(x, 1))
        p.add(lowNibbles(w), four(x, 2))
        p.add(highNibbles(w), four(x, 3))
    }
    return p.scaled(halves(record), halves(record + 32), sum)
}

/// The same for two tokens: what is unpacked serves both.
@inline(__always)
private func halfGroup(
    _ record: UnsafeRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ sumA: Float, _ sumB: Float
) -> (Sixteen, Sixteen) {
    var p = Products(), q = Products()
    for k in 0..<2 {
        let xa = inputs(a + 16 &* k), xb = inputs(b + 16 &* k)
        for i in 0..<2 {
            let v = loadQuads(record + (64 &+ 128 &* k &+ 64 &* i))
            let low = lowNibbles(v), high = highNibbles(v)
            p.add(low, four(xa, 2 &* i))
            q.add(low, four(xb, 2 &* i))
            p.add(high, four(xa, 2 &* i &+ 1))
            q.add(high, four(xb, 2 &* i &+ 1))
        }
    }
    let d = halves(record), m = halves(record + 32)
    return (p.scaled(d, m, sumA), q.scaled(d, m, sumB))
}

/// `sums + (a + b) * scale`
@inline(__always)
func adding(_ a: Sixteen, _ b: Sixteen, times scale: Float, to sums: Sixteen) -> Sixteen {
    @inline(__always) func one(_ s: float32x4_t, _ a: float32x4_t, _ b: float32x4_t) -> float32x4_t {
        vaddq_f32(s, vmulq_n_f32(vaddq_f32(a, b), scale))
    }
    return (one(sums.0, a.0, b.0), one(sums.1, a.1, b.1), one(sums.2, a.2, b.2), one(sums.3, a.3, b.3))
}

@inline(__always)
func together(_ v: Sixteen) -> F16 {
    F16(lowHalf: SIMD8(lowHalf: v.0, highHalf: v.1), highHalf: SIMD8(lowHalf: v.2, highHalf: v.3))
}

/// Bytes from the record being read to what is prefetched.
private let prefetchDistance = 1280

/// One block times one token.
@inline(__always)
func blockDots(_ block: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>) -> F16 {
    let zero = float32x4_t.zero
    var acc: Sixteen = (zero, zero, zero, zero)
    var record = block
    var values = UnsafeRawPointer(x.values)
    for g in 0..<x.groups {
        for k in 0..<10 { prefetch(record + (prefetchDistance &+ 64 &* k)) }
        let a = halfGroup(record, values, halves[2 &* g])
        let b = halfGroup(record + FourBitRows.recordBytes, values + halfGroupSize, halves[2 &* g &+ 1])
        acc = adding(a, b, times: x.scales[g], to: acc)
        record += 2 &* FourBitRows.recordBytes
        values += groupSize
    }
    return together(acc)
}

/// Adds a group of sixteen rows times some tokens to the tokens' sums.
@inline(__always)
func addGroup(
    _ record: UnsafeRawPointer, _ x: QuantizedRows, _ g: Int, _ tokens: Int, _ halves: UnsafePointer<Float>,
    to sums: UnsafeMutablePointer<F16>
) {
    let other = record + FourBitRows.recordBytes
    let sums = UnsafeMutableRawPointer(sums).assumingMemoryBound(to: Sixteen.self)
    @inline(__always) func values(_ t: Int) -> UnsafeRawPointer {
        UnsafeRawPointer(x.values) + (t &* x.groups &+ g) &* groupSize
    }
    var t = 0
    while t &+ 2 <= tokens {
        let va = values(t), vb = values(t &+ 1)
        let ha = halves + 2 &* t &* x.groups, hb = ha + 2 &* x.groups
        let (a, b) = halfGroup(record, va, vb, ha[0], hb[0])
        let (c, d) = halfGroup(other, va + halfGroupSize, vb + halfGroupSize, ha[1], hb[1])
        sums[t] = adding(a, c, times: x.scales[t &* x.groups &+ g], to: sums[t])
        sums[t &+ 1] = adding(b, d, times: x.scales[(t &+ 1) &* x.groups &+ g], to: sums[t &+ 1])
        t &+= 2
    }
    if t < tokens {
        let at = 2 &* t &* x.groups
        let a = halfGroup(record, values(t), halves[at])
        let b = halfGroup(other, values(t) + halfGroupSize, halves[at &+ 1])
        sums[t] = adding(a, b, times: x.scales[t &* x.groups &+ g], to: sums[t])
    }
}
#endif
