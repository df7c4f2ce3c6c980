import SIMDKernels

/// How a session keeps the keys and values of what it has read (docs/NUMERICS.md, 8).
public enum CacheType: String, Sendable, CaseIterable {
    /// IEEE half precision: two bytes a number.
    case half
    /// One byte a number and a scale for each head and position: half the memory, slightly different results.
    case int8
}

/// Keys and values of every layer, head by head so that attention reads one stream.
///
/// `[layer][kv head][position][width]`, the head's width rounded up to a multiple of 16. Memory is
/// touched as positions are used, so a large limit costs nothing by itself.
final class KVCache {
    let limit: Int
    let width: Int
    private let heads: Int
    private let headDim: Int
    private let keys: Side
    private let values: Side

    init(_ config: ModelConfig, limit: Int, type: CacheType) throws(RuntimeError) {
        self.limit = limit
        heads = config.nKVHeads
        headDim = config.headDim
        width = paddedHead(config.headDim)
        let positions = config.nLayers * heads * limit
        keys = try Side(type, positions: positions, width: width)
        values = try Side(type, positions: positions, width: width)
    }

    /// Bytes that a position takes.
    static func bytesPerPosition(_ config: ModelConfig, _ type: CacheType = .half) -> Int {
        let head = type == .half ? 2 * paddedHead(config.headDim) : paddedHead(config.headDim) + 4
        return 2 * config.nLayers * config.nKVHeads * head
    }

    /// The keys, or the values.
    private enum Side {
        case half(AlignedBuffer<UInt16>)
        case int8(AlignedBuffer<Int8>, scales: AlignedBuffer<Float>)

        init(_ type: CacheType, positions: Int, width: Int) throws(RuntimeError) {
            switch type {
            case .half: self = .half(try AlignedBuffer(positions * width))
            case .int8: self = .int8(try AlignedBuffer(positions * width), scales: try AlignedBuffer(positions))
            }
        }
    }

    private func place(_ layer: Int, _ head: Int, _ position: Int) -> Int {
        (layer * heads + head) * limit + position
    }

    /// Keeps a head's key and value. The padding of a head stays zero from when the cache was made.
    func store(
        _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ position: Int,
        _ kernels: KernelTable
    ) {
        let place = place(layer, head, position)
        for (side, x) in [(keys, key), (values, value)] {
            switch side {
            case .half(let buffer): kernels.toHalf(x, headDim, buffer.pointer + place * width)
            case .int8(let buffer, let scales):
                scales.pointer[place] = kernels.toBytes(x, headDim, buffer.pointer + place * width)
            }
        }
    }

    /// `scores[t] = query * key_t * scale` for positions `0 ..< count`; returns the largest.
    func scores(
        _ query: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ count: Int, _ scale: Float,
        _ kernels: KernelTable, into scores: UnsafeMutablePointer<Float>
    ) -> Float {
        let place = place(layer, head, 0)
        switch keys {
        case .half(let buffer):
            return kernels.attentionScores(query, buffer.pointer + place * width, width, count, scale, scores)
        case .int8(let buffer, let scales):
            return kernels.byteScores(
                query, buffer.pointer + place * width, scales.pointer + place, width, count, scale, scores)
        }
    }

    /// `out = (sum of weights[t] * value_t) / total` over positions `0 ..< count`.
    func weightedValues(
        _ weights: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ count: Int, _ total: Float,
        _ kernels: KernelTable, into out: UnsafeMutablePointer<Float>
    ) {
        let place = place(layer, head, 0)
        switch values {
        case .half(let buffer):
            kernels.weightedValues(weights, buffer.pointer + place * width, width, count, total, out)
        case .int8(let buffer, let scales):
            kernels.byteValues(
                weights, buffer.pointer + place * width, scales.pointer + place, width, count, total, out)
        }
    }
}

/// A head's width rounded up to whole vectors.
func paddedHead(_ width: Int) -> Int { (width + 15) & ~15 }
