// SPDX-License-Identifier: Apache-2.0

// Compiled for sets that read four rows at a time (AVX2 and SSE4.1): their activations are loaded once, and the four
// sums of a group meet in one register, one lane per row. Each set defines `fourDots`, those sums as floats, of a
// group. (Its offset is not added to the pointers first: decoding with AVX2 was 3 % slower.)

import KernelTable

/// Of scattered rows, those from the one being read to the one being prefetched.
private let prefetchDistance = 8

func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    let shouldPrefetch = w.shouldPrefetch(list)
    var i = 0
    while i < count {
        let ahead = w.adjacentRowsAhead(list, first, count, i, rows: 4, bytes: x.groups &* groupSize)
        let stepAhead = ahead == nil ? groupSize : 4 &* groupSize
        @inline(__always) func next(_ k: Int) -> UnsafeRawPointer {
            w.lineAhead(ahead, list, first, count, i &+ prefetchDistance, k)
        }
        let (r0, r1, r2, r3) = w.fourRows(list, first, count, i)
        let p0 = next(0), p1 = next(1), p2 = next(2), p3 = next(3)
        for t in 0..<tokens {
            let x = x.token(t)
            var total = SIMD4<Float>.zero
            for g in 0..<x.groups {
                if shouldPrefetch, t == 0 {
                    let to = g &* stepAhead
                    prefetch(p0 + to)
                    prefetch(p1 + to)
                    prefetch(p2 + to)
                    prefetch(p3 + to)
                }
                total += fourDots(x, g, r0, r1, r2, r3) * x.scales[g]
            }
            finish(total, w, list.map { $0 + i }, first &+ i, count &- i, out + (t &* outStride &+ i))
        }
        i &+= 4
    }
}
