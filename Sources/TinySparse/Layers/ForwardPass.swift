import SIMDKernels

/// The forward pass of a decoder, from tokens to logits, in the words of docs/NUMERICS.md, 9.
///
/// A block of tokens goes through each layer together; a block of one is decoding. All scratch is
/// made once; a pass allocates nothing that grows.
final class ForwardPass {
    private let config: ModelConfig
    private let weights: Weights
    private let kernels: KernelTable
    private let pool: WorkerPool
    private let multiplier: Multiplier
    private let cache: KVCache
    private let rotary: RotaryTable?
    private let attention: Attention

    /// Most tokens in a block.
    let blockSize: Int

    // [blockSize, ...], by what the rows mean.
    private let hidden: AlignedBuffer<Float>
    private let projected: AlignedBuffer<Float>
    private let query, key, value, heads: AlignedBuffer<Float>
    private let neurons, gates: AlignedBuffer<Float>
    private let normed, headsQuantized, neuronsQuantized: Activations

    /// Called after the embedding (layer -1) and every layer with `[tokens, dModel]` hidden states.
    var observer: ((_ layer: Int, _ hidden: UnsafeBufferPointer<Float>) -> Void)?

    init(
        _ model: Model, kernels: KernelTable, pool: WorkerPool, cache: KVCache, blockSize: Int
    ) throws(RuntimeError) {
        config = model.config
        weights = model.weights
        self.kernels = kernels
        self.pool = pool
        self.cache = cache
        self.blockSize = blockSize
        multiplier = try Multiplier(
            kernels: kernels, pool: pool, widest: max(config.dModel, config.dQuery, config.dFF),
            tallest: config.dModel)
        if case .rope(let base, let scaling, let dims, _) = config.positions {
            rotary = try RotaryTable(
                base: base, scaling: scaling, dims: dims, factors: config.ropeFactors, positions: cache.limit)
        } else {
            rotary = nil
        }
        attention = try Attention(config, kernels: kernels, pool: pool, cache: cache)
        hidden = try AlignedBuffer(blockSize * config.dModel)
        projected = try AlignedBuffer(blockSize * config.dModel)
        query = try AlignedBuffer(blockSize * config.dQuery)
        key = try AlignedBuffer(blockSize * config.dKV)
        value = try AlignedBuffer(blockSize * config.dKV)
        heads = try AlignedBuffer(blockSize * config.dQuery)
        neurons = try AlignedBuffer(blockSize * config.dFF)
        gates = try AlignedBuffer(config.gated ? blockSize * config.dFF : 0)
        normed = try Activations(width: config.dModel, capacity: blockSize)
        headsQuantized = try Activations(width: config.dQuery, capacity: blockSize)
        neuronsQuantized = try Activations(width: config.dFF, capacity: blockSize)
    }

    /// Runs `tokens` at positions `start...`, leaving their keys and values in the cache and their
    /// final hidden states in place for `logits`. Tokens and positions are in range (`Session` checks).
    func run(_ tokens: ArraySlice<Int32>, at start: Int) {
        let count = tokens.count
        embed(tokens, at: start)
        observe(-1, count)
        for (index, layer) in weights.layers.enumerated() {
            attentionBlock(layer, index, count, start)
            mlpBlock(layer, count)
            observe(index, count)
        }
    }

    /// The logits of tokens `first ..< first + count` of the last block: `out[count, vocabularySize]`.
    func logits(_ first: Int, _ count: Int, into out: UnsafeMutablePointer<Float>) {
        forEach(count) { [self] t, _ in
            norm(weights.outputNorm, hidden.pointer + (first + t) * config.dModel, into: t)
        }
        multiplier.multiply(normed.rows(), tokens: count, .init(map: weights.head, out: out))
    }

    // MARK: The two halves of a layer

    /// x = x + W_o attention(q, k, v)
    private func attentionBlock(_ layer: Weights.Layer, _ index: Int, _ count: Int, _ start: Int) {
        forEach(count) { [self] t, _ in
            norm(layer.attentionNorm, hidden.pointer + t * config.dModel, into: t)
        }
        multiplier.multiply(
            normed.rows(), tokens: count, .init(map: layer.query, out: query.pointer),
            .init(map: layer.key, out: key.pointer), .init(map: layer.value, out: value.pointer))
        forEach(count) { [self] t, _ in
            let k = key.pointer + t * config.dKV
            rotate(query.pointer + t * config.dQuery, config.nHeads, start + t)
            rotate(k, config.nKVHeads, start + t)
            attention.store(keys: k, values: value.pointer + t * config.dKV, layer: index, at: start + t)
        }
        attention.run(query.pointer, count, layer: index, at: start, into: heads.pointer)
        forEach(count) { [self] t, _ in
            headsQuantized.set(t, heads.pointer + t * config.dQuery, config.dQuery, kernels)
        }
        multiplier.multiply(
            headsQuantized.rows(), tokens: count, .init(map: layer.output, out: projected.pointer))
        kernels.add(hidden.pointer, projected.pointer, count * config.dModel)
    }

    /// x = x + W_down act(W_up x), or W_down (act(W_gate x) * (W_up x))
    private func mlpBlock(_ layer: Weights.Layer, _ count: Int) {
        forEach(count) { [self] t, _ in
            norm(layer.mlpNorm, hidden.pointer + t * config.dModel, into: t)
        }
        let up = Multiplier.Target(map: layer.up, out: neurons.pointer)
        if let gate = layer.gate {
            multiplier.multiply(normed.rows(), tokens: count, up, .init(map: gate, out: gates.pointer))
        } else {
            multiplier.multiply(normed.rows(), tokens: count, up)
        }
        forEach(count) { [self] t, _ in
            let h = neurons.pointer + t * config.dFF
            if layer.gate != nil {
                let g = gates.pointer + t * config.dFF
                activate(g)
                kernels.multiply(h, g, config.dFF)
            } else {
                activate(h)
            }
            neuronsQuantized.set(t, h, config.dFF, kernels)
        }
        multiplier.multiply(
            neuronsQuantized.rows(), tokens: count, .init(map: layer.down, out: projected.pointer))
        kernels.add(hidden.pointer, projected.pointer, count * config.dModel)
    }

    // MARK: Pieces

    private func embed(_ tokens: ArraySlice<Int32>, at start: Int) {
        for (t, token) in tokens.enumerated() {
            let x = hidden.pointer + t * config.dModel
            let rows = weights.embedding.rows
            kernels.expandRow(
                rows.weights + Int(token) * rows.stride, rows.scales[Int(token)], config.dModel, x)
            if let positions = weights.positions {
                kernels.add(x, positions.values.baseAddress! + (start + t) * config.dModel, config.dModel)
            }
        }
        rotary?.fill(upTo: start + tokens.count)
    }

    private func norm(_ norm: Weights.Norm, _ x: UnsafePointer<Float>, into t: Int) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: config.dModel) { y in
            let y = y.baseAddress!
            if let bias = norm.bias {
                kernels.layerNorm(x, norm.weight, bias, config.normEpsilon, config.dModel, y)
            } else {
                kernels.rmsNorm(x, norm.weight, config.normEpsilon, config.dModel, y)
            }
            normed.set(t, y, config.dModel, kernels)
        }
    }

    private func rotate(_ x: UnsafeMutablePointer<Float>, _ heads: Int, _ position: Int) {
        guard let rotary else { return }
        let cosines = rotary.cosines(at: position), sines = rotary.sines(at: position)
        for h in 0..<heads { kernels.rope(x + h * config.headDim, cosines, sines, rotary.pairs) }
    }

    private func activate(_ x: UnsafeMutablePointer<Float>) {
        switch config.activation {
        case .relu: kernels.relu(x, config.dFF)
        case .silu: kernels.silu(x, config.dFF)
        case .gelu: kernels.gelu(x, config.dFF)
        }
    }

    private func observe(_ layer: Int, _ count: Int) {
        observer?(layer, UnsafeBufferPointer(start: hidden.pointer, count: count * config.dModel))
    }

    /// Work that is split by token.
    private func forEach(_ count: Int, _ body: (Int, Int) -> Void) {
        if count < 4 {
            for t in 0..<count { body(t, 0) }
        } else {
            pool.run(count, body)
        }
    }
}
