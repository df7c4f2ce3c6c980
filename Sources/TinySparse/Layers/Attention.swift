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

    init(_ engine: Engine, _ config: ModelConfig, cache: KVCache, capacity: Int) throws(RuntimeError) {
        self.engine = engine
        self.cache = cache
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
        let shape = engine.shape
        possible += tokens * shape.nHeads
        computed += active.map { sets in (0..<tokens).reduce(0) { $0 + sets.count($1) } } ?? tokens * shape.nHeads
        rotary?.fill(upTo: start + tokens)
        project(layer, x, tokens, active)
        engine.forEach(tokens) { t in
            rotate(query.pointer + t * shape.dQuery, shape.nHeads, start + t)
            rotate(key.pointer + t * shape.dKV, shape.nKVHeads, start + t)
            store(t, index, start + t)
        }
        let work = shape.nHeads * tokens
        let piece = headsAtOnce(work, positions: start + tokens)
        let kernels = engine.kernels
        engine.pool.run((work + piece - 1) / piece) { number, worker in
            for i in number * piece..<min((number + 1) * piece, work) {
                let h = i / tokens, t = i % tokens
                attend(h, t, index, start, worker, kernels, isActive: active?.contains(h, token: t) ?? true)
            }
        }
        engine.forEach(tokens) { t in
            quantized.set(t, heads.pointer + t * shape.dQuery, shape.dQuery, engine.kernels)
        }
        engine.multiplier.multiply(quantized.rows(), tokens: tokens, .init(map: layer.output, out: out))
    }

    /// Queries of the active heads, keys and values of all.
    private func project(_ layer: Weights.Layer, _ x: Activations, _ tokens: Int, _ active: ActiveSets?) {
        let shape = engine.shape
        let k = Multiplier.Target(map: layer.key, out: key.pointer)
        let v = Multiplier.Target(map: layer.value, out: value.pointer)
        guard let active, tokens < Multiplier.tileThreshold else {
            // Many tokens are cheaper dense; an inactive head's query is then not used.
            engine.multiplier.multiply(
                x.rows(), tokens: tokens, .init(map: layer.query, out: query.pointer), k, v)
            return
        }
        engine.multiplier.multiply(x.rows(), tokens: tokens, k, v)
        for t in 0..<tokens {
            engine.multiplier.multiply(
                x.row(t), runs: active.list(t), count: active.count(t), length: shape.headDim,
                .init(map: layer.query, out: query.pointer + t * shape.dQuery))
        }
    }

    /// A piece of work is worth waking a worker for: while the text is short, a few heads.
    private func headsAtOnce(_ work: Int, positions: Int) -> Int {
        let worthwhile = max(32_768 / (positions * cache.width), 1)
        return min(worthwhile, (work + engine.pool.threads - 1) / engine.pool.threads)
    }

    private func rotate(_ x: UnsafeMutablePointer<Float>, _ heads: Int, _ position: Int) {
        guard let rotary else { return }
        let cosines = rotary.cosines(at: position), sines = rotary.sines(at: position)
        for h in 0..<heads { engine.kernels.rope(x + h * engine.shape.headDim, cosines, sines, rotary.pairs) }
    }

    /// Puts a token's keys and values into the cache.
    private func store(_ t: Int, _ layer: Int, _ position: Int) {
        let width = engine.shape.headDim
        for h in 0..<engine.shape.nKVHeads {
            let offset = t * engine.shape.dKV + h * width
            cache.store(key.pointer + offset, value.pointer + offset, layer, h, position, engine.kernels)
        }
    }

    /// One head of one token over positions `0 ... start + t`.
    private func attend(
        _ h: Int, _ t: Int, _ layer: Int, _ start: Int, _ worker: Int, _ kernels: KernelTable, isActive: Bool
    ) {
        let width = engine.shape.headDim
        let offset = t * engine.shape.dQuery + h * width
        guard isActive else {
            (heads.pointer + offset).update(repeating: 0, count: width)
            return
        }
        let shared = h / (engine.shape.nHeads / engine.shape.nKVHeads)
        let padded = scratch.pointer + worker * scratchSize
        let result = padded + cache.width
        let scores = result + cache.width
        padded.update(from: query.pointer + offset, count: width)
        let length = start + t + 1
        let largest = cache.scores(padded, layer, shared, length, scale, kernels, into: scores)
        let total = kernels.softmaxWeights(scores, length, largest)
        cache.weightedValues(scores, layer, shared, length, total, kernels, into: result)
        (heads.pointer + offset).update(from: result, count: width)
    }
}
