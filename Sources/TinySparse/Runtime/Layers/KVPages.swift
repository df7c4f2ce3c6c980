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

/// Memory for keys and values, in pages of some positions of all layers: what several sequences read alike, they can have
/// in pages that they share.
///
/// `[page][layer][kv head][position][width]`, the head's width rounded up to a multiple of 16; keys lie in blocks of
/// positions (`QueryTile`). Memory is touched as positions are used, so a large limit costs nothing by itself.
final class KVPages {
    let layers, heads: Int
    let headDim, width: Int
    /// Positions in a page: whole blocks of keys.
    let positions: Int
    /// How many pages there are.
    let count: Int
    let keys: Side
    let values: Side
    /// From the beginning of a block of keys to each dimension of its first key.
    private let offsets: AlignedBuffer<Int>
    /// Keeps the memory of both alive.
    private let buffers: [AnyObject]

    /// The keys, or the values: where they are, for the cache's lifetime.
    enum Side {
        case half(UnsafeMutablePointer<UInt16>)
        case int8(UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>)
    }

    /// - Parameter positions: of a page; rounded up to whole blocks of keys.
    /// - Throws: `RuntimeError.outOfMemory`.
    init(
        _ config: ModelConfig, positions: Int, count: Int, type: CacheType, in memory: SessionMemory
    ) throws(RuntimeError) {
        (layers, heads) = (config.nLayers, config.nKVHeads)
        headDim = config.headDim
        width = paddedHead(config.headDim)
        self.positions = Self.room(positions)
        self.count = count
        offsets = try AlignedBuffer(headDim, in: memory)
        if !memory.isPlan {
            for j in 0..<headDim { offsets.pointer[j] = QueryTile.place(j, width) * QueryTile.keyBlock }
        }
        let (places, overflow) = (layers * heads * self.positions).multipliedReportingOverflow(by: count)
        guard !overflow, places < 1 << 46 else { throw .outOfMemory(bytes: Int.max) }
        switch type {
        case .half:
            let k = try AlignedBuffer<UInt16>(places * width, in: memory)
            let v = try AlignedBuffer<UInt16>(places * width, in: memory)
            (keys, values) = (.half(k.pointer), .half(v.pointer))
            buffers = [k, v]
        case .int8:
            let k = try AlignedBuffer<Int8>(places * width, in: memory)
            let v = try AlignedBuffer<Int8>(places * width, in: memory)
            let scales = try AlignedBuffer<Float>(2 * places, in: memory)
            keys = .int8(k.pointer, scales: scales.pointer)
            values = .int8(v.pointer, scales: scales.pointer + places)
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

    /// Where a page begins, counted in rows of `width` numbers.
    func start(_ page: Int) -> Int { page * layers * heads * positions }

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
        let lane = place % QueryTile.keyBlock
        return (place - lane) * width + lane
    }

    /// Copies the keys and values of the first `count` positions of a page to another.
    func copy(_ count: Int, from other: Int, to page: Int) {
        // Keys of a block of positions lie together.
        let block = Self.room(count)
        for row in 0..<layers * heads {
            let place = start(page) + row * positions, from = start(other) + row * positions
            switch (keys, values) {
            case (.half(let k), .half(let v)):
                (k + place * width).update(from: k + from * width, count: block * width)
                (v + place * width).update(from: v + from * width, count: count * width)
            case (.int8(let k, let ks), .int8(let v, let vs)):
                (k + place * width).update(from: k + from * width, count: block * width)
                (v + place * width).update(from: v + from * width, count: count * width)
                (ks + place).update(from: ks + from, count: count)
                (vs + place).update(from: vs + from, count: count)
            default: fatalError("keys and values of two types")
            }
        }
    }
}

/// A head's width rounded up to whole vectors.
func paddedHead(_ width: Int) -> Int { (width + 15) & ~15 }
