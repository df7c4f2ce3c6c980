import SIMDKernels

/// Softmax attention over the cache (docs/NUMERICS.md, 8), split by query head and token.
final class Attention {
    private let config: ModelConfig
    private let kernels: KernelTable
    private let pool: WorkerPool
    private let cache: KVCache
    private let scale: Float
    /// Scores of one query, a padded query and a padded output, for each worker.
    private let scratch: AlignedBuffer<Float>
    private let scratchSize: Int

    init(_ config: ModelConfig, kernels: KernelTable, pool: WorkerPool, cache: KVCache) throws(RuntimeError) {
        self.config = config
        self.kernels = kernels
        self.pool = pool
        self.cache = cache
        scale = 1 / Float(config.headDim).squareRoot()
        scratchSize = 2 * cache.width + (cache.limit + 15) & ~15
        scratch = try AlignedBuffer(pool.threads * scratchSize)
    }

    /// Puts a token's keys and values `[nKVHeads, headDim]` into the cache. The padding of a head stays
    /// zero from when the cache was made.
    func store(keys: UnsafePointer<Float>, values: UnsafePointer<Float>, layer: Int, at position: Int) {
        for h in 0..<config.nKVHeads {
            kernels.toHalf(keys + h * config.headDim, config.headDim, cache.keys(layer, h, from: position))
            kernels.toHalf(values + h * config.headDim, config.headDim, cache.values(layer, h, from: position))
        }
    }

    /// `out[t, h] = attention of query[t, h]` over positions `0 ... start + t`.
    func run(
        _ query: UnsafePointer<Float>, _ count: Int, layer: Int, at start: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        let share = config.nHeads / config.nKVHeads
        pool.run(config.nHeads * count) { [self] piece, worker in
            let h = piece / count, t = piece % count
            let offset = (t * config.nHeads + h) * config.headDim
            let padded = scratch.pointer + worker * scratchSize
            let result = padded + cache.width
            let scores = result + cache.width
            padded.update(from: query + offset, count: config.headDim)
            let length = start + t + 1
            let largest = kernels.attentionScores(
                padded, cache.keys(layer, h / share), cache.width, length, scale, scores)
            let total = kernels.softmaxWeights(scores, length, largest)
            kernels.weightedValues(
                scores, cache.values(layer, h / share), cache.width, length, total, result)
            (out + offset).update(from: result, count: config.headDim)
        }
    }
}
