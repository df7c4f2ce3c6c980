// SPDX-License-Identifier: Apache-2.0

// Compiled in every instruction set's target but the scalar one: rows by number or by list, prefetching, and
// what the outputs of tiles have in common.

import KernelTable

// (Functions, since a struct that several files share would bring weak symbols: Tests, KernelObjectTests.)
extension WeightRows {
    /// Whether to prefetch rows: gathered ones, and those of a model that exceeds the cache.
    @inline(__always)
    func shouldPrefetch(_ list: UnsafePointer<Int32>?) -> Bool { list != nil || exceedsCache }

    /// The i-th of `count` rows, which are those of the list, or all from the first on. Past the end it is the last one
    /// again: kernels read several rows at a time, and drop what they have too many.
    @inline(__always)
    func row(_ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ i: Int) -> UnsafeRawPointer {
        let i = Swift.min(i, count &- 1)
        return UnsafeRawPointer(weights + (list.map { Int($0[i]) } ?? first &+ i) &* stride)
    }

    /// The rows i to i + 3.
    @inline(__always)
    func fourRows(
        _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ i: Int
    ) -> (UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer) {
        let r = row(list, first, count, i)
        if list == nil, i &+ 4 <= count { return (r, r + stride, r + 2 &* stride, r + 3 &* stride) }
        return (r, row(list, first, count, i &+ 1), row(list, first, count, i &+ 2), row(list, first, count, i &+ 3))
    }
}

extension WeightRows {
    /// Where the next rows to be read begin, if they lie one after another in memory; nil if they are scattered.
    ///
    /// Kernels read `rows` rows side by side, for the sake of their registers. To memory that is as many short streams,
    /// which most processors' prefetchers do not follow: a Zen 3 and a Zen 4 then read at 40 to 60 % of their bandwidth.
    /// So a kernel prefetches what comes next in the order of memory: the first lines of it while it reads the first
    /// columns of all its rows, and so on. Only scattered rows are prefetched side by side.
    ///
    /// Without a list it goes on past the end, into what the file has next and what will mostly be read next;
    /// prefetching unmapped memory does nothing.
    /// - Parameters:
    ///   - i: the first of the rows being read.
    ///   - bytes: those of a row that are read.
    @inline(__always)
    func adjacentRowsAhead(
        _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ i: Int, rows: Int, bytes: Int
    ) -> UnsafeRawPointer? {
        guard bytes == stride else { return nil }
        let start = UnsafeRawPointer(weights)
        guard let list else { return start + ((first &+ i) &* stride &+ Swift.max(rows &* stride, leastPrefetchBytes)) }
        let next = i &+ rows
        guard next &+ rows <= count, list[next &+ rows &- 1] &- list[next] == Int32(rows &- 1) else { return nil }
        return start + Int(list[next]) &* stride
    }

    /// What to prefetch first, of k such places: the k-th line from `ahead` on, where the next rows are adjacent, or else
    /// row i + k, while the same place of an earlier row is read.
    @inline(__always)
    func lineAhead(
        _ ahead: UnsafeRawPointer?, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ i: Int, _ k: Int
    ) -> UnsafeRawPointer {
        if let ahead { return ahead + k &* 64 }
        if list != nil { return row(list, first, count, i &+ k) }
        return UnsafeRawPointer(weights) + (first &+ i &+ k) &* stride
    }
}

/// Prefetches the same place of four rows. (AVX2 spells the four out: through this function its registers are
/// allocated differently.)
@inline(__always)
func prefetch(
    _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeRawPointer, _ d: UnsafeRawPointer, _ at: Int
) {
    prefetch(a + at)
    prefetch(b + at)
    prefetch(c + at)
    prefetch(d + at)
}

/// Prefetches a group's part of the rows of the next tile, which lie one after another from `next` on.
@inline(__always)
func prefetchTile(_ next: UnsafeRawPointer?, group g: Int) {
    guard let next else { return }
    let part = next + g &* tileRows &* groupSize
    for k in 0..<tileRows { prefetch(part + k &* 64) }
}

/// Writes `first + l` for every bit l that is set, contiguously; returns how many.
@inline(__always)
func storeIndices(_ first: Int32, _ mask: UInt32, _ out: UnsafeMutablePointer<Int32>) -> Int {
    var mask = mask, found = 0
    while mask != 0 {
        out[found] = first &+ Int32(truncatingIfNeeded: mask.trailingZeroBitCount)
        mask &= mask &- 1
        found &+= 1
    }
    return found
}

/// Finishes the products of up to as many rows as a vector has lanes, `count` of them wanted, which are those of the list,
/// or all from `first` on: scales them and adds the bias.
@inline(__always)
func finish<V: SIMD & BitwiseCopyable>(
    _ products: V, _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int,
    _ out: UnsafeMutablePointer<Float>
) where V.Scalar == Float {
    // (`scalarCount` would bring a weak symbol: Tests, KernelObjectTests.)
    let lanes = MemoryLayout<V>.size / MemoryLayout<Float>.size
    if list == nil, count >= lanes {
        var y = products * UnsafeRawPointer(w.scales + first).loadUnaligned(as: V.self)
        if let bias = w.bias { y += UnsafeRawPointer(bias + first).loadUnaligned(as: V.self) }
        UnsafeMutableRawPointer(out).storeBytes(of: y, as: V.self)
    } else {
        for k in 0..<Swift.min(lanes, count) {
            let r = list.map { Int($0[k]) } ?? first &+ k
            let y = products[k] * w.scales[r]
            out[k] = w.bias.map { y + $0[r] } ?? y
        }
    }
}
