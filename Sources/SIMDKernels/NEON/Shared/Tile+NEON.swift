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

/// The integer sums of sixteen outputs for one token.
private struct Sums {
    var a = int32x4_t.zero, b = int32x4_t.zero, c = int32x4_t.zero, d = int32x4_t.zero

    @inline(__always)
    mutating func add(_ w: UnsafePointer<int8x16_t>, _ q: int8x16_t) {
        a = accumulate(a, w[0], q)
        b = accumulate(b, w[1], q)
        c = accumulate(c, w[2], q)
        d = accumulate(d, w[3], q)
    }

    @inline(__always)
    func scaled(_ scale: Float) -> F16 { floats(a, b, c, d) * scale }
}

/// Sixteen activations; `spread(four[k])` is the step that quad k of the tile takes.
@inline(__always)
private func quads(_ p: UnsafeRawPointer) -> int32x4_t { p.loadUnaligned(as: int32x4_t.self) }

func oneToken(_ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int) -> F16 {
    var total = F16.zero
    var w = tile.assumingMemoryBound(to: int8x16_t.self)
    var v = UnsafeRawPointer(x.values) + t &* x.groups &* groupSize
    for g in 0..<x.groups {
        var sums = Sums()
        for _ in 0..<4 {
            let q = quads(v)
            sums.add(w, spread(q, 0))
            sums.add(w + 4, spread(q, 1))
            sums.add(w + 8, spread(q, 2))
            sums.add(w + 12, spread(q, 3))
            w += 16
            v += 16
        }
        total += sums.scaled(x.scales[t &* x.groups &+ g])
    }
    return total
}

func fourTokens(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ t: Int, _ next: UnsafeRawPointer?
) -> (F16, F16, F16, F16) {
    var ta = F16.zero, tb = F16.zero, tc = F16.zero, td = F16.zero
    let n = x.groups
    let width = n &* groupSize
    var w = tile.assumingMemoryBound(to: int8x16_t.self)
    var v = UnsafeRawPointer(x.values) + t &* width
    for g in 0..<n {
        prefetchTile(next, group: g)
        var a = Sums(), b = Sums(), c = Sums(), d = Sums()
        for _ in 0..<4 {
            let qa = quads(v), qb = quads(v + width)
            let qc = quads(v + 2 &* width), qd = quads(v + 3 &* width)
            @inline(__always) func step(_ w: UnsafePointer<int8x16_t>, _ k: Int) {
                a.add(w, spread(qa, k))
                b.add(w, spread(qb, k))
                c.add(w, spread(qc, k))
                d.add(w, spread(qd, k))
            }
            step(w, 0)
            step(w + 4, 1)
            step(w + 8, 2)
            step(w + 12, 3)
            w += 16
            v += 16
        }
        let scales = x.scales + (t &* n &+ g)
        ta += a.scaled(scales[0])
        tb += b.scaled(scales[n])
        tc += c.scaled(scales[2 &* n])
        td += d.scaled(scales[3 &* n])
    }
    return (ta, tb, tc, td)
}
#endif
