// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// The keys and values of one sequence: pages, in the order of its positions. What attention makes of them does not depend
/// on how they are cut into pages: scores are of one position each, and values are added position by position
/// (docs/NUMERICS.md, 8).
final class KVCache {
    let pages: KVPages
    /// Where each page begins, in rows of the memory.
    private let starts: AlignedBuffer<Int>

    /// - Parameter limit: most positions.
    /// - Throws: `RuntimeError.outOfMemory`.
    init(_ pages: KVPages, limit: Int, in memory: SessionMemory) throws(RuntimeError) {
        self.pages = pages
        starts = try AlignedBuffer((limit + pages.positions - 1) / pages.positions, in: memory)
    }

    /// A cache that has all of a memory's first page for itself.
    convenience init(onePage pages: KVPages, in memory: SessionMemory) throws(RuntimeError) {
        try self.init(pages, limit: pages.positions, in: memory)
        // In a plan there is no table; and zeroed memory already names the first page.
    }

    /// Notes which page the sequence's `index`-th one is.
    func setPage(_ index: Int, to page: Int) { starts.pointer[index] = pages.start(page) }

    /// The row of a position's key and value.
    func place(_ layer: Int, _ head: Int, _ position: Int) -> Int {
        let (page, rest) = position.quotientAndRemainder(dividingBy: pages.positions)
        return starts.pointer[page] + (layer * pages.heads + head) * pages.positions + rest
    }

    /// Keeps a head's key and value. The padding of a head stays zero from when the memory was made. Keys of one
    /// block of positions share cache lines: one thread should store them.
    func store(
        _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ position: Int,
        _ kernels: KernelTable
    ) {
        let place = place(layer, head, position), width = pages.width, headDim = pages.headDim
        switch (pages.keys, pages.values) {
        case (.half(let k), .half(let v)):
            kernels.toHalf(value, headDim, v + place * width)
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: headDim) { row in
                kernels.toHalf(key, headDim, row.baseAddress!)
                pages.spread(row.baseAddress!, into: k, place)
            }
        case (.int8(let k, let keyScales), .int8(let v, let valueScales)):
            valueScales[place] = kernels.toBytes(value, headDim, v + place * width)
            withUnsafeTemporaryAllocation(of: Int8.self, capacity: headDim) { row in
                keyScales[place] = kernels.toBytes(key, headDim, row.baseAddress!)
                pages.spread(row.baseAddress!, into: k, place)
            }
        default: fatalError("keys and values of two types")
        }
    }

    // MARK: Attention

    /// What of a tile's positions lies in one page.
    private struct Part {
        /// The tile with counts and scores of these positions.
        var tile: QueryTile
        /// The row of the first one.
        let place: Int
        let isFirst, isLast: Bool
    }

    /// Cuts a tile's positions, which count from `base`, the first of a block of keys, into those of each page.
    private func forEachPage(_ tile: QueryTile, _ layer: Int, _ head: Int, from base: Int, _ body: (Part) -> Void) {
        let end = base + tile.counts[tile.rows - 1]
        var first = base
        repeat {
            let last = min(first - first % pages.positions + pages.positions, end)
            var part = Part(
                tile: tile, place: place(layer, head, first), isFirst: first == base, isLast: last == end)
            part.tile.scores += first - base
            part.tile.counts &-= first - base
            part.tile.counts.clamp(lowerBound: .zero, upperBound: SIMD4(repeating: last - first))
            body(part)
            first = last
        } while first < end
    }

    /// The scores of a tile's queries, and the largest of each. The tile's positions count from `base`, the first of a
    /// block of keys.
    func scores(
        _ tile: QueryTile, _ layer: Int, _ head: Int, from base: Int, _ scale: Float, _ kernels: KernelTable,
        largest: UnsafeMutablePointer<Float>
    ) {
        let width = pages.width
        var best = SIMD4<Float>(repeating: -.infinity)
        forEachPage(tile, layer, head, from: base) { part in
            switch pages.keys {
            case .half(let numbers): kernels.attentionScores(part.tile, numbers + part.place * width, scale, largest)
            case .int8(let numbers, let scales):
                kernels.byteScores(part.tile, numbers + part.place * width, scales + part.place, scale, largest)
            }
            for i in 0..<tile.rows where largest[i] > best[i] { best[i] = largest[i] }
        }
        for i in 0..<tile.rows { largest[i] = best[i] }
    }

    /// The sums of values that the tile's weights make, divided by their totals.
    func weightedValues(
        _ tile: QueryTile, _ layer: Int, _ head: Int, from base: Int, _ totals: UnsafePointer<Float>,
        _ kernels: KernelTable, into out: UnsafeMutablePointer<Float>
    ) {
        let width = pages.width
        forEachPage(tile, layer, head, from: base) { part in
            let totals = part.isLast ? totals : nil
            switch pages.values {
            case .half(let numbers):
                kernels.weightedValues(part.tile, numbers + part.place * width, part.isFirst, totals, out)
            case .int8(let numbers, let scales):
                kernels.byteValues(
                    part.tile, numbers + part.place * width, scales + part.place, part.isFirst, totals, out)
            }
        }
    }
}
