// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products of rows, eight at a time (`eightDots` of each set).

import KernelTable
import _Builtin_intrinsics.arm.neon

func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    let areAdjacent = list == nil && x.groups &* groupSize == w.stride
    withUnsafeTemporaryAllocation(of: UnsafeRawPointer.self, capacity: 16) { places in
        let rows = places.baseAddress!
        var i = 0
        while i < count {
            let out = out + i, left = count &- i
            if areAdjacent, left >= 8 {
                var row = UnsafeRawPointer(w.weights + (first &+ i) &* w.stride)
                let next = row + Swift.max(8 &* w.stride, leastPrefetchBytes)
                for k in 0..<8 {
                    rows[k] = row
                    row += w.stride
                }
                for t in 0..<tokens {
                    finishEight(adjacentRows(rows, x.token(t), next), w, first &+ i, 8, out + t &* outStride)
                }
            } else {
                for k in 0..<16 { rows[k] = w.row(list, first, count, i &+ k) }
                for t in 0..<tokens {
                    let totals = scatteredRows(rows, x.token(t)), out = out + t &* outStride
                    finish(totals.0, w, list.map { $0 + i }, first &+ i, left, out)
                    if left > 4 {
                        finish(totals.1, w, list.map { $0 + (i &+ 4) }, first &+ i &+ 4, left &- 4, out + 4)
                    }
                }
            }
            i &+= 8
        }
    }
}

@inline(__always)
private func finishEight(_ y: Eight, _ w: WeightRows, _ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Float>) {
    finish(y.0, w, nil, first, count, out)
    if count > 4 { finish(y.1, w, nil, first &+ 4, count &- 4, out + 4) }
}

/// Eight rows that lie one after another; what follows them is prefetched in the order of memory.
@inline(never)
private func adjacentRows(
    _ rows: UnsafePointer<UnsafeRawPointer>, _ x: QuantizedRows, _ next: UnsafeRawPointer
) -> Eight {
    var next = next
    return eightDots(rows, x) { _, _ in
        prefetch(next, next + 64, next + 128, next + 192, 0)
        next += 256
    }
}

/// Eight rows anywhere; of the eight after them the same columns are prefetched.
@inline(never)
private func scatteredRows(_ rows: UnsafePointer<UnsafeRawPointer>, _ x: QuantizedRows) -> Eight {
    eightDots(rows, x) { first, at in
        let next = rows + (8 &+ first)
        prefetch(next[0], next[1], next[2], next[3], at)
    }
}
#endif
