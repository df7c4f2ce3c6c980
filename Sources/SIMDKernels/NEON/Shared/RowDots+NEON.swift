// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Products of rows, eight at a time (`eightDots` of each set).

import KernelTable
import _Builtin_intrinsics.arm.neon

func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    withUnsafeTemporaryAllocation(of: UnsafeRawPointer.self, capacity: 16) { places in
        let rows = places.baseAddress!
        var i = 0
        if list == nil, x.groups &* groupSize == w.stride {
            i = count & ~7
            if tokens == 1 {
                adjacentRows(rows, w, first, i, x, out)
            } else {
                adjacentRowsOfTokens(rows, w, first, i, x, tokens, out, outStride)
            }
        }
        while i < count {
            let left = count &- i
            for k in 0..<16 { rows[k] = w.row(list, first, count, i &+ k) }
            for t in 0..<tokens {
                let totals = scatteredRows(rows, x.token(t)), out = out + (t &* outStride &+ i)
                finish(totals.0, w, list.map { $0 + i }, first &+ i, left, out)
                if left > 4 { finish(totals.1, w, list.map { $0 + (i &+ 4) }, first &+ i &+ 4, left &- 4, out + 4) }
            }
            i &+= 8
        }
    }
}

/// Rows that lie one after another, a multiple of eight; what follows them is prefetched in the order of memory.
///
/// `places` has room for where eight of them begin. The next eight are located before sums are stored, which might overwrite
/// that for all the compiler knows: so it reads the pointers, and does not compute them from each other at every step.
@inline(__always)
private func adjacentRows(
    _ places: UnsafeMutablePointer<UnsafeRawPointer>, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var row = UnsafeRawPointer(w.weights + first &* w.stride)
    var next = row + Swift.max(8 &* w.stride, leastPrefetchBytes)
    @inline(__always) func locate() { for k in 0..<8 { places[k] = row + k &* w.stride } }
    locate()
    var sums = RunningSums()
    var i = 0
    while i < count {
        row += 8 &* w.stride
        let start = next
        for t in 0..<tokens {
            if t > 0 { next = start }
            let totals = eightDots(places, x.token(t), &sums) { _, _ in
                prefetch(next, next + 64, next + 128, next + 192, 0)
                next += 256
            }
            if t &+ 1 == tokens { locate() }
            finish(SIMD8(lowHalf: totals.0, highHalf: totals.1), w, nil, first &+ i, 8, out + (t &* outStride &+ i))
        }
        i &+= 8
    }
}

/// One token, the usual case, is compiled by itself.
@inline(never)
private func adjacentRows(
    _ places: UnsafeMutablePointer<UnsafeRawPointer>, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ out: UnsafeMutablePointer<Float>
) {
    adjacentRows(places, w, first, count, x, 1, out, 0)
}

@inline(never)
private func adjacentRowsOfTokens(
    _ places: UnsafeMutablePointer<UnsafeRawPointer>, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    adjacentRows(places, w, first, count, x, tokens, out, outStride)
}

/// Eight rows anywhere; of the eight after them the same columns are prefetched.
@inline(never)
private func scatteredRows(_ rows: UnsafePointer<UnsafeRawPointer>, _ x: QuantizedRows) -> Eight {
    var sums = RunningSums()
    return eightDots(rows, x, &sums) { first, at in
        let next = rows + (8 &+ first)
        prefetch(next[0], next[1], next[2], next[3], at)
    }
}
#endif
