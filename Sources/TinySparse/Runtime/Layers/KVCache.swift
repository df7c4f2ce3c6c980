// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// How a session keeps the keys and values of what it has read (docs/NUMERICS.md, 8).
public enum CacheType: String, Sendable, CaseIterable {
    /// IEEE half precision: two bytes a number.
    case half
    /// One byte a number and a scale for each head and position: half the memory, slightly different results.
    case int8
}

/// Keys and values of every layer, head by head so that attention reads one stream.
///
/// `[layer][kv head][position][width]`, the head's width rounded up to a multiple of 16; keys lie in blocks of
/// positions (`QueryTile`). Memory is touched as positions are used, so a large limit costs nothing by itself.
final class KVCache {
    let width: Int
    /// Positions there is room for: whole blocks of keys.
    private let room: Int
    let layers, heads: Int
    let headDim: Int
    /// Positions in a block of keys, and from the beginning of a block to each dimension of its first key.
    private let keyBlock: Int
    private let offsets: AlignedBuffer<Int>
    let keys: Side
    let values: Side

    init(_ config: ModelConfig, limit: Int, type: CacheType, in memory: SessionMemory) throws(RuntimeError) {
        (layers, heads) = (config.nLayers, config.nKVHeads)
        headDim = config.headDim
        width = paddedHead(config.headDim)
        keyBlock = QueryTile.keyBlock
        room = Self.room(limit)
        offsets = try AlignedBuffer(headDim, in: memory)
        if !memory.isPlan {
            for j in 0..<headDim { offsets.pointer[j] = QueryTile.place(j, width) * keyBlock }
        }
        let positions = layers * heads * room
        switch type {
        case .half:
            let k = try AlignedBuffer<UInt16>(positions * width, in: memory)
            let v = try AlignedBuffer<UInt16>(positions * width, in: memory)
            (keys, values) = (.half(k.pointer), .half(v.pointer))
            buffers = [k, v]
        case .int8:
            let k = try AlignedBuffer<Int8>(positions * width, in: memory)
            let v = try AlignedBuffer<Int8>(positions * width, in: memory)
            let scales = try AlignedBuffer<Float>(2 * positions, in: memory)
            keys = .int8(k.pointer, scales: scales.pointer)
            values = .int8(v.pointer, scales: scales.pointer + positions)
            buffers = [k, v, scales]
        }
    }

    /// Positions that a cache for `limit` of them has room for: whole blocks of keys.
    static func room(_ limit: Int) -> Int { (limit + QueryTile.keyBlock - 1) / QueryTile.keyBlock * QueryTile.keyBlock }

    /// Bytes that a position takes.
    static func bytesPerPosition(_ config: ModelConfig, _ type: CacheType = .half) -> Int {
        let head = type == .half ? 2 * paddedHead(config.headDim) : paddedHead(config.headDim) + 4
        return 2 * config.nLayers * config.nKVHeads * head
    }

    /// How keys and values are kept.
    var type: CacheType {
        switch keys {
        case .half: .half
        case .int8: .int8
        }
    }

    /// The keys, or the values: where they are, for the cache's lifetime.
    enum Side {
        case half(UnsafeMutablePointer<UInt16>)
        case int8(UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>)
    }

    /// Keeps the memory of both alive.
    private let buffers: [AnyObject]

    func place(_ layer: Int, _ head: Int, _ position: Int) -> Int { (layer * heads + head) * room + position }

    /// Keeps a head's key and value. The padding of a head stays zero from when the cache was made. Keys of one
    /// block of positions share cache lines: one thread should store them.
    func store(
        _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ position: Int,
        _ kernels: KernelTable
    ) {
        let place = place(layer, head, position)
        switch (keys, values) {
        case (.half(let k), .half(let v)):
            kernels.toHalf(value, headDim, v + place * width)
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: headDim) { row in
                kernels.toHalf(key, headDim, row.baseAddress!)
                spread(row.baseAddress!, into: k, place)
            }
        case (.int8(let k, let keyScales), .int8(let v, let valueScales)):
            valueScales[place] = kernels.toBytes(value, headDim, v + place * width)
            withUnsafeTemporaryAllocation(of: Int8.self, capacity: headDim) { row in
                keyScales[place] = kernels.toBytes(key, headDim, row.baseAddress!)
                spread(row.baseAddress!, into: k, place)
            }
        default: fatalError("keys and values of two types")
        }
    }

    /// A key goes to its lane of its block.
    func spread<Number>(_ row: UnsafePointer<Number>, into keys: UnsafeMutablePointer<Number>, _ place: Int) {
        let to = keys + lane(place), offsets = offsets.pointer
        for j in 0..<headDim { to[offsets[j]] = row[j] }
    }

    /// A key comes from its lane of its block: the inverse of `spread`.
    func gather<Number>(_ keys: UnsafePointer<Number>, _ place: Int, into row: UnsafeMutablePointer<Number>) {
        let from = keys + lane(place), offsets = offsets.pointer
        for j in 0..<headDim { row[j] = from[offsets[j]] }
    }

    /// Where the lane of a key begins.
    private func lane(_ place: Int) -> Int {
        let lane = place % keyBlock
        return (place - lane) * width + lane
    }

    /// Takes over the keys and values of the first `count` positions of another cache of the same model and type.
    func copy(_ count: Int, from other: KVCache) {
        // Keys of a block of positions lie together.
        let positions = Self.room(count)
        for row in 0..<layers * heads {
            let place = row * room, from = row * other.room
            switch (keys, values, other.keys, other.values) {
            case (.half(let k), .half(let v), .half(let otherK), .half(let otherV)):
                (k + place * width).update(from: otherK + from * width, count: positions * width)
                (v + place * width).update(from: otherV + from * width, count: count * width)
            case (.int8(let k, let ks), .int8(let v, let vs), .int8(let otherK, let oks), .int8(let otherV, let ovs)):
                (k + place * width).update(from: otherK + from * width, count: positions * width)
                (v + place * width).update(from: otherV + from * width, count: count * width)
                (ks + place).update(from: oks + from, count: count)
                (vs + place).update(from: ovs + from, count: count)
            default: fatalError("caches of two types")
            }
        }
    }

    /// The scores of a tile's queries, and the largest of each. The tile's positions count from `base`, the first of a
    /// block of keys.
    func scores(
        _ tile: QueryTile, _ layer: Int, _ head: Int, from base: Int, _ scale: Float, _ kernels: KernelTable,
        largest: UnsafeMutablePointer<Float>
    ) {
        let place = place(layer, head, base)
        switch keys {
        case .half(let numbers): kernels.attentionScores(tile, numbers + place * width, scale, largest)
        case .int8(let numbers, let scales):
            kernels.byteScores(tile, numbers + place * width, scales + place, scale, largest)
        }
    }

    /// The sums of values that the tile's weights make, divided by their totals.
    func weightedValues(
        _ tile: QueryTile, _ layer: Int, _ head: Int, from base: Int, _ totals: UnsafePointer<Float>,
        _ kernels: KernelTable, into out: UnsafeMutablePointer<Float>
    ) {
        let place = place(layer, head, base)
        switch values {
        case .half(let numbers): kernels.weightedValues(tile, numbers + place * width, totals, out)
        case .int8(let numbers, let scales):
            kernels.byteValues(tile, numbers + place * width, scales + place, totals, out)
        }
    }
}

/// A head's width rounded up to whole vectors.
func paddedHead(_ width: Int) -> Int { (width + 15) & ~15 }
