// SPDX-License-Identifier: Apache-2.0

// Compiled for sets that add eight neurons at a time (AVX-512 and SSE4.1). Each set defines `columnsAtOnce`, those of four
// registers, `interleave`, which makes of four rows four registers with four neurons' products a lane, `multiplier`, the four
// activations that meet them, `start`, the sums of a register before any products, and `add`.

import KernelTable

/// The exact sums of one group of neurons over `width` columns: `sums[t * width + c]`, four bytes each. Eight neurons' rows
/// are interleaved byte by byte in registers, four and four, so that a product step adds the products of four neurons; the
/// sums lie in memory, and travel once for eight neurons. What is made of the rows serves all tokens.
@inline(__always)
func groupProducts(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int,
    _ x: QuantizedRows, _ tokens: Int, _ g: Int, _ sums: UnsafeMutableRawPointer
) {
    let shouldPrefetch = w.shouldPrefetch(neurons)
    let end = Swift.min((g &+ 1) &* groupSize, neuronCount)
    for t in 0..<tokens {
        let origin = start(x.token(t).sums[g]), s = sums + 4 &* t &* width
        for b in 0..<4 &* width / columnsAtOnce { store(origin, s + b &* columnsAtOnce) }
    }
    var i = g &* groupSize
    while i < end {
        let ahead = w.adjacentRowsAhead(neurons, 0, neuronCount, i, rows: 8, bytes: width)
        let stepAhead = ahead == nil ? 1 : 8
        @inline(__always) func next(_ k: Int) -> UnsafeRawPointer {
            w.lineAhead(ahead, neurons, 0, neuronCount, i &+ prefetchDistance, k)
        }
        // Neurons past the end, which are repeats, have an activation of zero.
        let (r0, r1, r2, r3) = w.fourRows(neurons, 0, neuronCount, i)
        let (r4, r5, r6, r7) = w.fourRows(neurons, 0, neuronCount, i &+ 4)
        let p0 = next(0), p1 = next(1), p2 = next(2), p3 = next(3)
        let p4 = next(4), p5 = next(5), p6 = next(6), p7 = next(7)
        let values = UnsafeRawPointer(x.values + i)
        var at = 0
        while at < width {
            if shouldPrefetch, at & 63 == 0 {
                prefetch(p0, p1, p2, p3, at &* stepAhead)
                prefetch(p4, p5, p6, p7, at &* stepAhead)
            }
            let (a0, a1, a2, a3) = interleave(r0 + at, r1 + at, r2 + at, r3 + at)
            let (b0, b1, b2, b3) = interleave(r4 + at, r5 + at, r6 + at, r7 + at)
            for t in 0..<tokens {
                let q = values + t &* x.groups &* groupSize
                let q0 = multiplier(q), q1 = multiplier(q + 4)
                let s = sums + 4 &* (t &* width &+ at)
                add(s, a0, q0, b0, q1)
                add(s + columnsAtOnce, a1, q0, b1, q1)
                add(s + 2 &* columnsAtOnce, a2, q0, b2, q1)
                add(s + 3 &* columnsAtOnce, a3, q0, b3, q1)
            }
            at &+= columnsAtOnce
        }
        i &+= 8
    }
}

/// Of scattered neurons, those from the one being added to the one whose row is prefetched.
private let prefetchDistance = 16
