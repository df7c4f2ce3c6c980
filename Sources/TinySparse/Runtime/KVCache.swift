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
        switch type {
        case .half:
            let k = try AlignedBuffer<UInt16>(positions * width), v = try AlignedBuffer<UInt16>(positions * width)
            (keys, values) = (.half(k.pointer), .half(v.pointer))
            memory = [k, v]
        case .int8:
            let k = try AlignedBuffer<Int8>(positions * width), v = try AlignedBuffer<Int8>(positions * width)
            let scales = try AlignedBuffer<Float>(2 * positions)
            keys = .int8(k.pointer, scales: scales.pointer)
            values = .int8(v.pointer, scales: scales.pointer + positions)
            memory = [k, v, scales]
        }
    }

    /// Bytes that a position takes.
    static func bytesPerPosition(_ config: ModelConfig, _ type: CacheType = .half) -> Int {
        let head = type == .half ? 2 * paddedHead(config.headDim) : paddedHead(config.headDim) + 4
        return 2 * config.nLayers * config.nKVHeads * head
    }

    /// The keys, or the values: where they are, for the cache's lifetime.
    private enum Side {
        case half(UnsafeMutablePointer<UInt16>)
        case int8(UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>)
    }

    /// What keeps the memory of both.
    private let memory: [AnyObject]

    private func place(_ layer: Int, _ head: Int, _ position: Int) -> Int {
        (layer * heads + head) * limit + position
    }

    /// Keeps a head's key and value. The padding of a head stays zero from when the cache was made.
    func store(
        _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ position: Int,
        _ kernels: KernelTable
    ) {
        let place = place(layer, head, position)
        store(key, in: keys, place, kernels)
        store(value, in: values, place, kernels)
    }

    private func store(_ x: UnsafePointer<Float>, in side: Side, _ place: Int, _ kernels: KernelTable) {
        switch side {
        case .half(let numbers): kernels.toHalf(x, headDim, numbers + place * width)
        case .int8(let numbers, let scales): scales[place] = kernels.toBytes(x, headDim, numbers + place * width)
        }
    }

    /// `scores[t] = query * key_t * scale` for positions `0 ..< count`; returns the largest.
    func scores(
        _ query: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ count: Int, _ scale: Float,
        _ kernels: KernelTable, into scores: UnsafeMutablePointer<Float>
    ) -> Float {
        let place = place(layer, head, 0)
        switch keys {
        case .half(let numbers):
            return kernels.attentionScores(query, numbers + place * width, width, count, scale, scores)
        case .int8(let numbers, let scales):
            return kernels.byteScores(
                query, numbers + place * width, scales + place, width, count, scale, scores)
        }
    }

    /// `out = (sum of weights[t] * value_t) / total` over positions `0 ..< count`.
    func weightedValues(
        _ weights: UnsafePointer<Float>, _ layer: Int, _ head: Int, _ count: Int, _ total: Float,
        _ kernels: KernelTable, into out: UnsafeMutablePointer<Float>
    ) {
        let place = place(layer, head, 0)
        switch values {
        case .half(let numbers):
            kernels.weightedValues(weights, numbers + place * width, width, count, total, out)
        case .int8(let numbers, let scales):
            kernels.byteValues(
                weights, numbers + place * width, scales + place, width, count, total, out)
        }
    }
}

/// A head's width rounded up to whole vectors.
func paddedHead(_ width: Int) -> Int { (width + 15) & ~15 }
