// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products of rows, eight at a time: their activations are loaded once, and the sums of a group meet in two registers,
// one lane per row.

import KernelTable
import _Builtin_intrinsics.arm.neon

func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    let areAdjacent = list == nil && x.groups &* groupSize == w.stride
    var i = 0
    while i < count {
        let out = out + i
        @inline(__always) func finishEight(_ totals: Eight, _ t: Int) {
            let out = out + t &* outStride
            finish(totals.0, w, list.map { $0 + i }, first &+ i, count &- i, out)
            if i &+ 4 < count {
                finish(totals.1, w, list.map { $0 + (i &+ 4) }, first &+ i &+ 4, count &- i &- 4, out + 4)
            }
        }
        if areAdjacent, i &+ 8 <= count {
            let start = UnsafeRawPointer(w.weights + (first &+ i) &* w.stride)
            let next = start + Swift.max(8 &* w.stride, leastPrefetchBytes)
            for t in 0..<tokens { finishEight(eightRows(start, w.stride, x.token(t), next), t) }
        } else {
            for t in 0..<tokens { finishEight(scatteredRows(w, list, first, count, i, x.token(t)), t) }
        }
        i &+= 8
    }
}

/// Eight rows that lie one after another; what follows them is prefetched in the order of memory.
@inline(never)
private func eightRows(
    _ start: UnsafeRawPointer, _ stride: Int, _ x: QuantizedRows, _ next: UnsafeRawPointer
) -> Eight {
    @inline(__always) func four(_ r: UnsafeRawPointer) -> FourRows {
        (r, r + stride, r + 2 &* stride, r + 3 &* stride)
    }
    var next = next
    return eightDots(x, four(start), four(start + 4 &* stride)) { _ in
        for k in 0..<8 { prefetch(next + 64 &* k) }
        next += 8 &* groupSize
    }
}

/// Eight rows anywhere; of the eight after them the same columns are prefetched.
@inline(never)
private func scatteredRows(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ i: Int, _ x: QuantizedRows
) -> Eight {
    let a = w.fourRows(list, first, count, i &+ 8), b = w.fourRows(list, first, count, i &+ 12)
    return eightDots(x, w.fourRows(list, first, count, i), w.fourRows(list, first, count, i &+ 4)) { g in
        prefetch(a.0, a.1, a.2, a.3, g &* groupSize)
        prefetch(b.0, b.1, b.2, b.3, g &* groupSize)
    }
}

private typealias FourRows = (UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer)

/// Eight rows' sums, without the rows' scales. `eachGroup` is called with the number of every group, before it is read.
@inline(__always)
private func eightDots(_ x: QuantizedRows, _ low: FourRows, _ high: FourRows, eachGroup: (Int) -> Void) -> Eight {
    var (r0, r1, r2, r3) = low, (r4, r5, r6, r7) = high
    var s0 = int32x4_t.zero, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0
    var lastLow = s0, lastHigh = s0
    var totals: Eight = (.zero, .zero)
    var v = UnsafeRawPointer(x.values)
    for g in 0..<x.groups {
        eachGroup(g)
        let xs = (load16(v), load16(v + 16), load16(v + 32), load16(v + 48))
        @inline(__always) func add(_ s: inout int32x4_t, _ row: inout UnsafeRawPointer) {
            s = rowSums(s, (load16(row), load16(row + 16), load16(row + 32), load16(row + 48)), xs)
            row += groupSize
        }
        add(&s0, &r0)
        add(&s1, &r1)
        add(&s2, &r2)
        add(&s3, &r3)
        let sumLow = vpaddq_s32(vpaddq_s32(s0, s1), vpaddq_s32(s2, s3))
        add(&s4, &r4)
        add(&s5, &r5)
        add(&s6, &r6)
        add(&s7, &r7)
        let sumHigh = vpaddq_s32(vpaddq_s32(s4, s5), vpaddq_s32(s6, s7))
        let scale = x.scales[g]
        totals.0 = vaddq_f32(totals.0, vmulq_n_f32(vcvtq_f32_s32(groupSums(sumLow, lastLow)), scale))
        totals.1 = vaddq_f32(totals.1, vmulq_n_f32(vcvtq_f32_s32(groupSums(sumHigh, lastHigh)), scale))
        lastLow = sumLow
        lastHigh = sumHigh
        v += groupSize
    }
    return totals
}
#endif
