// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
import KernelTable
import _Builtin_intrinsics.arm.neon

/// A tile is 16 outputs wide: for every four inputs, four registers of four outputs each, 64 bytes. Four
/// activations, spread over a register, meet each of them in one step, and no sum crosses lanes.
let tileRows = 16
let tileTokens = 8

func packRows(
    _ w: WeightRows, _ first: Int, _ count: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    for block in 0..<4 {
        // Rows past the end are repeats; nobody stores their sums.
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
            let r = first &+ Swift.min(block &* 4 &+ k, count &- 1)
            return UnsafeRawPointer(w.weights + r &* w.stride)
        }
        let a = row(0), b = row(1), c = row(2), d = row(3)
        for quad in 0..<groups &* 16 {
            @inline(__always) func inputs(_ row: UnsafeRawPointer) -> Int32 {
                (row + quad &* 4).loadUnaligned(as: Int32.self)
            }
            let four = int32x4_t(inputs(a), inputs(b), inputs(c), inputs(d))
            (tile + (quad &* 64 &+ block &* 16)).storeBytes(
                of: arrange(unsafeBitCast(four, to: int8x16_t.self)), as: int8x16_t.self)
        }
    }
}

func packColumns(
    _ w: WeightRows, _ neuronCount: Int, _ first: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    // Neurons past the end are repeats: their activations are zero.
    let last = neuronCount &- 1
    for quad in 0..<groups &* 16 {
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer {
            UnsafeRawPointer(w.weights + Swift.min(quad &* 4 &+ k, last) &* w.stride + first)
        }
        let (a, b, c, d) = interleave((load16(row(0)), load16(row(1)), load16(row(2)), load16(row(3))))
        let to = (tile + quad &* 64).assumingMemoryBound(to: int8x16_t.self)
        to[0] = a
        to[1] = b
        to[2] = c
        to[3] = d
    }
}

func tileDots(
    _ tile: UnsafeRawPointer, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ tokens: Int, _ next: UnsafeRawPointer?, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var t = 0
    while t < tokens {
        // Tokens past the end are the last one again.
        let last = tokens &- 1
        let some = (t, Swift.min(t &+ 1, last), Swift.min(t &+ 2, last), Swift.min(t &+ 3, last))
        for half in 0..<(count > 8 ? 2 : 1) {
            let i = 8 &* half
            let (a, b, c, d) = eightRows(tile + 4 &* i, x, some, t == 0 ? next.map { $0 + i &* groupSize } : nil)
            let out = out + (t &* outStride &+ i)
            @inline(__always) func finish(_ y: Eight, _ out: UnsafeMutablePointer<Float>) {
                finishEight(y, w, first &+ i, count &- i, out)
            }
            finish(a, out)
            if t < last { finish(b, out + outStride) }
            if t &+ 1 < last { finish(c, out + 2 &* outStride) }
            if t &+ 2 < last { finish(d, out + 3 &* outStride) }
        }
        t &+= 4
    }
}

@inline(__always)
func finishEight(_ y: Eight, _ w: WeightRows, _ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Float>) {
    finish(y.0, w, nil, first, count, out)
    if count > 4 { finish(y.1, w, nil, first &+ 4, count &- 4, out + 4) }
}

/// Eight rows of a tile times four tokens: the registers hold no more. `next` are the rows to prefetch meanwhile.
@inline(never)
private func eightRows(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ tokens: (Int, Int, Int, Int), _ next: UnsafeRawPointer?
) -> (Eight, Eight, Eight, Eight) {
    let n = x.groups
    @inline(__always) func values(_ t: Int) -> UnsafeRawPointer { UnsafeRawPointer(x.values + t &* n &* groupSize) }
    var va = values(tokens.0), vb = values(tokens.1), vc = values(tokens.2), vd = values(tokens.3)
    let sa = x.scales + n &* tokens.0, sb = x.scales + n &* tokens.1
    let sc = x.scales + n &* tokens.2, sd = x.scales + n &* tokens.3
    let zero = float32x4_t.zero
    var a: Eight = (zero, zero), b = a, c = a, d = a
    var w = tile
    for g in 0..<n {
        if let next { for k in 0..<8 { prefetch(next + (g &* 16 &+ k) &* 64) } }
        let sums = eightSums(w, va, vb, vc, vd)
        a = adding(sums.0, times: sa[g], to: a)
        b = adding(sums.1, times: sb[g], to: b)
        c = adding(sums.2, times: sc[g], to: c)
        d = adding(sums.3, times: sd[g], to: d)
        w += tileRows &* groupSize
        va += groupSize
        vb += groupSize
        vc += groupSize
        vd += groupSize
    }
    return (a, b, c, d)
}

private typealias EightSums = (int32x4_t, int32x4_t)

/// The integer sums of a group.
@inline(__always)
private func eightSums(
    _ w: UnsafeRawPointer, _ va: UnsafeRawPointer, _ vb: UnsafeRawPointer, _ vc: UnsafeRawPointer,
    _ vd: UnsafeRawPointer
) -> (EightSums, EightSums, EightSums, EightSums) {
    var a: EightSums = (.zero, .zero), b = a, c = a, d = a
    for k in 0..<4 {
        let xa = inputs(va + 16 &* k), xb = inputs(vb + 16 &* k), xc = inputs(vc + 16 &* k), xd = inputs(vd + 16 &* k)
        @inline(__always) func step(_ i: Int) {
            let at = w + 64 &* (4 &* k &+ i), low = load16(at), high = load16(at + 16)
            @inline(__always) func add(_ sums: inout EightSums, _ x: int32x4_t) {
                let x = spread(x, i)
                sums.0 = accumulate(sums.0, low, x)
                sums.1 = accumulate(sums.1, high, x)
            }
            add(&a, xa)
            add(&b, xb)
            add(&c, xc)
            add(&d, xd)
        }
        step(0)
        step(1)
        step(2)
        step(3)
    }
    return (a, b, c, d)
}

@inline(__always)
private func adding(_ sums: EightSums, times scale: Float, to totals: Eight) -> Eight {
    (
        vaddq_f32(totals.0, vmulq_n_f32(vcvtq_f32_s32(sums.0), scale)),
        vaddq_f32(totals.1, vmulq_n_f32(vcvtq_f32_s32(sums.1), scale))
    )
}
#endif
