import SIMDKernels

/// The attention half of a layer, over all heads or over the active ones (docs/NUMERICS.md, 8 to 10).
final class Attention {
    private let engine: Engine
    private let cache: KVCache
    private let rotary: RotaryTable?
    private let scale: Float
    private let query, key, value, heads: AlignedBuffer<Float>
    private let quantized: Activations
    /// Scores of one query, a padded query and a padded output, for each worker.
    private let scratch: AlignedBuffer<Float>
    private let scratchSize: Int
    /// Active heads of the tokens seen, and all there were.
    private(set) var computed = 0
    private(set) var possible = 0

    /// `[tokens, dQuery]` outputs of the heads of the last run, for those who study them.
    var outputs: UnsafePointer<Float> { UnsafePointer(heads.pointer) }

    init(_ engine: Engine, cache: KVCache, capacity: Int) throws(RuntimeError) {
        self.engine = engine
        self.cache = cache
        let config = engine.config
        if case .rope(let base, let scaling, let dims, _) = config.positions {
            rotary = try RotaryTable(
                base: base, scaling: scaling, dims: dims, factors: config.ropeFactors, positions: cache.limit)
        } else {
            rotary = nil
        }
        scale = 1 / Float(config.headDim).squareRoot()
        query = try AlignedBuffer(capacity * config.dQuery)
        key = try AlignedBuffer(capacity * config.dKV)
        value = try AlignedBuffer(capacity * config.dKV)
        heads = try AlignedBuffer(capacity * config.dQuery)
        quantized = try Activations(width: config.dQuery, capacity: capacity)
        scratchSize = 2 * cache.width + (cache.limit + 15) & ~15
        scratch = try AlignedBuffer(engine.pool.threads * scratchSize)
    }

    /// `out[t] = W_o attention(W_q x[t], W_k x, W_v x)` for tokens at positions `start...`, whose keys and
    /// values go into the cache.
    /// - Parameter active: the heads to compute; nil for all of them.
    func run(
        _ layer: Weights.Layer, _ index: Int, _ x: Activations, tokens: Int, at start: Int,
        active: ActiveSets?, into out: UnsafeMutablePointer<Float>
    ) {
        let config = engine.config
        possible += tokens * config.nHeads
        rotary?.fill(upTo: start + tokens)
        project(layer, x, tokens, active)
        engine.forEach(tokens) { t in
            rotate(query.pointer + t * config.dQuery, config.nHeads, start + t)
            rotate(key.pointer + t * config.dKV, config.nKVHeads, start + t)
            store(t, index, start + t)
        }
        // A piece is worth waking a worker for: a few heads while the text is short.
        let total = config.nHeads * tokens
        let piece = min(max(32_768 / ((start + tokens) * cache.width), 1), (total + engine.pool.threads - 1) / engine.pool.threads)
        engine.pool.run((total + piece - 1) / piece) { index_, worker in
            for i in index_ * piece..<min((index_ + 1) * piece, total) {
                let h = i / tokens, t = i % tokens
                attend(h, t, index, start, worker, isActive: active?.contains(h, token: t) ?? true)
            }
        }
        engine.forEach(tokens) { t in
            quantized.set(t, heads.pointer + t * config.dQuery, config.dQuery, engine.kernels)
        }
        engine.multiplier.multiply(quantized.rows(), tokens: tokens, .init(map: layer.output, out: out))
    }

    /// Queries of the active heads, keys and values of all.
    private func project(_ layer: Weights.Layer, _ x: Activations, _ tokens: Int, _ active: ActiveSets?) {
        let config = engine.config
        let k = Multiplier.Target(map: layer.key, out: key.pointer)
        let v = Multiplier.Target(map: layer.value, out: value.pointer)
        guard let active, tokens < Multiplier.tileThreshold else {
            // Many tokens are cheaper dense; an inactive head's query is then not used.
            computed += tokens * config.nHeads
            engine.multiplier.multiply(
                x.rows(), tokens: tokens, .init(map: layer.query, out: query.pointer), k, v)
            return
        }
        engine.multiplier.multiply(x.rows(), tokens: tokens, k, v)
        for t in 0..<tokens {
            computed += active.count(t)
            engine.multiplier.multiply(
                x.row(t), runs: active.list(t), count: active.count(t), length: config.headDim,
                .init(map: layer.query, out: query.pointer + t * config.dQuery))
        }
    }

    private func rotate(_ x: UnsafeMutablePointer<Float>, _ heads: Int, _ position: Int) {
        guard let rotary else { return }
        let cosines = rotary.cosines(at: position), sines = rotary.sines(at: position)
        for h in 0..<heads { engine.kernels.rope(x + h * engine.config.headDim, cosines, sines, rotary.pairs) }
    }

    /// Puts a token's keys and values into the cache. The padding of a head stays zero from when the
    /// cache was made.
    private func store(_ t: Int, _ layer: Int, _ position: Int) {
        let width = engine.config.headDim
        for h in 0..<engine.config.nKVHeads {
            let offset = t * engine.config.dKV + h * width
            engine.kernels.toHalf(key.pointer + offset, width, cache.keys(layer, h, from: position))
            engine.kernels.toHalf(value.pointer + offset, width, cache.values(layer, h, from: position))
        }
    }

    /// One head of one token over positions `0 ... start + t`.
    private func attend(_ h: Int, _ t: Int, _ layer: Int, _ start: Int, _ worker: Int, isActive: Bool) {
        let width = engine.config.headDim
        let offset = t * engine.config.dQuery + h * width
        guard isActive else {
            (heads.pointer + offset).update(repeating: 0, count: width)
            return
        }
        let shared = h / (engine.config.nHeads / engine.config.nKVHeads)
        let padded = scratch.pointer + worker * scratchSize
        let result = padded + cache.width
        let scores = result + cache.width
        padded.update(from: query.pointer + offset, count: width)
        let length = start + t + 1
        let kernels = engine.kernels
        let largest = kernels.attentionScores(
            padded, cache.keys(layer, shared), cache.width, length, scale, scores)
        let total = kernels.softmaxWeights(scores, length, largest)
        kernels.weightedValues(scores, cache.values(layer, shared), cache.width, length, total, result)
        (heads.pointer + offset).update(from: result, count: width)
    }
}
