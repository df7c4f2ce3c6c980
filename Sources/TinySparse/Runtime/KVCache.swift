/// Keys and values of every layer, in half precision, head by head so that attention reads one stream.
///
/// `[layer][kv head][position][width]`, the head's width rounded up to a multiple of 16. Memory is
/// touched as positions are used, so a large limit costs nothing by itself.
final class KVCache {
    let limit: Int
    let width: Int
    private let heads: Int
    private let keys: AlignedBuffer<UInt16>
    private let values: AlignedBuffer<UInt16>

    init(_ config: ModelConfig, limit: Int) throws(RuntimeError) {
        self.limit = limit
        heads = config.nKVHeads
        width = paddedHead(config.headDim)
        let count = config.nLayers * heads * limit * width
        keys = try AlignedBuffer(count)
        values = try AlignedBuffer(count)
    }

    /// Bytes that a position takes.
    static func bytesPerPosition(_ config: ModelConfig) -> Int {
        4 * config.nLayers * config.nKVHeads * paddedHead(config.headDim)
    }

    private func offset(_ layer: Int, _ head: Int, _ position: Int) -> Int {
        ((layer * heads + head) * limit + position) * width
    }

    func keys(_ layer: Int, _ head: Int, from position: Int = 0) -> UnsafeMutablePointer<UInt16> {
        keys.pointer + offset(layer, head, position)
    }

    func values(_ layer: Int, _ head: Int, from position: Int = 0) -> UnsafeMutablePointer<UInt16> {
        values.pointer + offset(layer, head, position)
    }
}

/// A head's width rounded up to whole vectors.
func paddedHead(_ width: Int) -> Int { (width + 15) & ~15 }
