// SPDX-License-Identifier: Apache-2.0

// Compiled for sets that read four rows at a time (AVX2 and NEON): their activations are loaded once, and the four sums
// of a group meet in one register, one lane per row. Each set defines `fourDots`, those sums as floats, at a byte of the
// rows. (The offset is passed beside the pointers: added to them first, decoding with AVX2 was 3 % slower.)

import KernelTable

/// Of scattered rows, those from the one being read to the one being prefetched. (On ARM chosen like the other sets',
/// not measured.)
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
            ahead.map { $0 + k &* 64 } ?? w.prefetchRow(list, first, count, i &+ k &+ prefetchDistance)
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
                total += fourDots(x.values, r0, r1, r2, r3, g &* groupSize) * x.scales[g]
            }
            finishFour(total, w, list, first, count, i, out + t &* outStride)
        }
        i &+= 4
    }
}

/// Scales the products of the rows i to i + 3, as far as they are wanted, and adds the bias.
@inline(__always)
private func finishFour(
    _ total: SIMD4<Float>, _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ i: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    if list == nil, i &+ 4 <= count {
        let at = first &+ i
        var y = total * UnsafeRawPointer(w.scales + at).loadUnaligned(as: SIMD4<Float>.self)
        if let bias = w.bias { y += UnsafeRawPointer(bias + at).loadUnaligned(as: SIMD4<Float>.self) }
        UnsafeMutableRawPointer(out + i).storeBytes(of: y, as: SIMD4<Float>.self)
    } else {
        for k in 0..<Swift.min(4, count &- i) {
            let r = list.map { Int($0[i &+ k]) } ?? first &+ i &+ k
            let y = total[k] * w.scales[r]
            out[i &+ k] = w.bias.map { y + $0[r] } ?? y
        }
    }
}
