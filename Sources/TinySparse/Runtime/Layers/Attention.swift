// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// The attention half of a layer, over all heads or over the active ones (docs/NUMERICS.md, 8 to 10).
final class Attention {
    private let context: ComputeContext
    private let cache: KVCache
    /// The rotation of each layer; nil for none.
    private let rotary: [RotaryTable?]
    /// How many tokens each layer sees; empty if all layers see all.
    private let windows: [Int]
    private let softCap: Float
    private let normalizesAllHeads: Bool
    private let scale: Float
    private let query, key, value, heads: AlignedBuffer<Float>
    private let quantized: Activations
    /// For each worker a number and a query, an output and scores for each row of a tile, the heads padded.
    private let scratch: AlignedBuffer<Float>
    private let scratchSize: Int
    /// From one row of a tile to the next.
    private let stride: Int
    /// Active heads of the tokens seen, and all there were.
    private(set) var computed = 0
    private(set) var possible = 0

    /// `[tokens, dQuery]` outputs of the heads of the last run, for observers.
    var outputs: UnsafePointer<Float> { UnsafePointer(heads.pointer) }

    init(
        _ context: ComputeContext, _ config: ModelConfig, cache: KVCache, capacity: Int, in memory: SessionMemory
    ) throws(RuntimeError) {
        self.context = context
        self.cache = cache
        var tables: [ModelConfig.LayerRope: RotaryTable] = [:]
        rotary = try (0..<config.nLayers).map { layer throws(RuntimeError) -> RotaryTable? in
            guard let rope = config.rope(layer) else { return nil }
            let kind = config.layerRopes.isEmpty ? .main : config.layerRopes[layer]
            if tables[kind] == nil { tables[kind] = try RotaryTable(rope, positions: cache.limit, in: memory) }
            return tables[kind]
        }
        windows = config.windows
        softCap = config.attentionSoftCap
        normalizesAllHeads = config.normalizesAllHeads
        scale = 1 / Float(config.headDim).squareRoot()
        query = try AlignedBuffer(capacity * config.dQuery, in: memory)
        key = try AlignedBuffer(capacity * config.dKV, in: memory)
        value = try AlignedBuffer(capacity * config.dKV, in: memory)
        heads = try AlignedBuffer(capacity * config.dQuery, in: memory)
        quantized = try Activations(width: config.dQuery, capacity: capacity, in: memory)
        stride = 2 * cache.width + cache.room + QueryTile.keyBlock
        scratchSize = QueryTile.most * stride + 16
        scratch = try AlignedBuffer(context.pool.threads * scratchSize, in: memory)
    }

    /// `out[t] = W_o attention(W_q x[t], W_k x, W_v x)` for tokens at positions `start...`, whose keys and
    /// values go into the cache.
    /// - Parameter selection: the heads to compute.
    func run(
        _ layer: Weights.Layer, _ index: Int, _ x: Activations, tokens: Int, at start: Int,
        _ selection: Selection, into out: UnsafeMutablePointer<Float>
    ) {
        let shape = context.shape
        let active: ActiveSets? = if case .indices(let sets) = selection { sets } else { nil }
        possible += tokens * shape.nHeads
        computed += active.map { sets in (0..<tokens).reduce(0) { $0 + sets.count($1) } } ?? tokens * shape.nHeads
        let rotary = rotary[index]
        rotary?.fill(upTo: start + tokens)
        project(layer, x, tokens, active)
        forEachBlock(tokens, at: start) { t in
            let q = query.pointer + t * shape.dQuery, k = key.pointer + t * shape.dKV
            normalize(layer.queryNorm, q, shape.nHeads)
            normalize(layer.keyNorm, k, shape.nKVHeads)
            rotary?.rotate(q, shape.nHeads, width: shape.headDim, at: start + t, context.kernels)
            rotary?.rotate(k, shape.nKVHeads, width: shape.headDim, at: start + t, context.kernels)
            store(t, index, start + t)
        }
        let work = shape.nHeads * tokens
        let window = windows.isEmpty || windows[index] == 0 ? Int.max : windows[index]
        let piece = rowsAtOnce(work, positions: min(start + tokens, window))
        let kernels = context.kernels
        context.pool.run((work + piece - 1) / piece) { number, worker in
            let rows = number * piece..<min((number + 1) * piece, work)
            attend(
                rows, of: tokens, index, start, window, active, scratch.pointer + worker * scratchSize, kernels)
        }
        if let norm = layer.attentionSubNorm {
            context.normalizeInPlace(norm, heads.pointer, tokens, width: shape.dQuery)
        }
        context.forEachToken(tokens) { t in
            quantized.set(t, heads.pointer + t * shape.dQuery, shape.dQuery, context.kernels)
        }
        combine(layer.output, tokens, active, out)
    }

    /// The output matrix. Where heads are left out, so is what they would multiply.
    private func combine(_ map: Linear, _ tokens: Int, _ active: ActiveSets?, _ out: UnsafeMutablePointer<Float>) {
        guard let active, map.isNeuronMajor, tokens < Selection.fewTokens else {
            return context.multiply(quantized, tokens: tokens, ProductTarget(map: map, out: out))
        }
        for t in 0..<tokens {
            context.neuronSums.multiply(
                quantized.row(t), heads: active.list(t), count: active.count(t), width: context.shape.headDim,
                ProductTarget(map: map, out: out + t * map.outputs))
        }
    }

    /// Queries of the active heads, keys and values of all.
    private func project(_ layer: Weights.Layer, _ x: Activations, _ tokens: Int, _ active: ActiveSets?) {
        let shape = context.shape
        guard let active, tokens < Selection.fewTokens, !normalizesAllHeads else {
            // Many tokens are cheaper dense, and a norm of all heads needs them; an inactive head's query is not used.
            context.products.multiply(
                x.rows(), tokens: tokens, ProductTarget(map: layer.query, out: query.pointer),
                ProductTarget(map: layer.key, out: key.pointer),
                ProductTarget(map: layer.value, out: value.pointer))
            return
        }
        for t in 0..<tokens {
            context.products.multiply(
                x.row(t), ProductTarget(map: layer.key, out: key.pointer + t * shape.dKV),
                ProductTarget(map: layer.value, out: value.pointer + t * shape.dKV),
                runs: active.list(t), count: active.count(t), length: shape.headDim,
                of: ProductTarget(map: layer.query, out: query.pointer + t * shape.dQuery))
        }
    }

    /// Calls `body` for every token; those of one block of keys are one worker's.
    private func forEachBlock(_ tokens: Int, at start: Int, _ body: (Int) -> Void) {
        let block = QueryTile.keyBlock
        let first = start / block
        guard tokens >= 4 else { return (0..<tokens).forEach(body) }
        context.pool.run((start + tokens - 1) / block - first + 1) { number, _ in
            let from = (first + number) * block
            for t in max(from - start, 0)..<min(from + block - start, tokens) { body(t) }
        }
    }

    /// A piece of work is a few full tiles, and while the text is short enough rows to be worth waking a worker
    /// for. A single token is cut into equal shares, so that as few tiles as possible are.
    private func rowsAtOnce(_ work: Int, positions: Int) -> Int {
        let worthwhile = max(32_768 / (positions * cache.width), 4 * QueryTile.most)
        return min(worthwhile, (work + context.pool.threads - 1) / context.pool.threads)
    }

    /// The norm of queries or of keys, of each head or of all together.
    private func normalize(_ norm: Weights.Norm?, _ x: UnsafeMutablePointer<Float>, _ heads: Int) {
        guard let norm else { return }
        let width = context.shape.headDim
        if normalizesAllHeads { return context.normalize(norm, x, heads * width, into: x) }
        for h in 0..<heads { context.normalize(norm, x + h * width, width, into: x + h * width) }
    }

    /// Puts a token's keys and values into the cache.
    private func store(_ t: Int, _ layer: Int, _ position: Int) {
        let width = context.shape.headDim
        for h in 0..<context.shape.nKVHeads {
            let offset = t * context.shape.dKV + h * width
            cache.store(key.pointer + offset, value.pointer + offset, layer, h, position, context.kernels)
        }
    }

    /// Some of the layer's rows, a row being one head of one token: all heads that share keys and values lie
    /// together, token by token, so that what reads the same positions follows each other.
    private func attend(
        _ rows: Range<Int>, of tokens: Int, _ layer: Int, _ start: Int, _ window: Int, _ active: ActiveSets?,
        _ scratch: UnsafeMutablePointer<Float>, _ kernels: KernelTable
    ) {
        let width = context.shape.headDim
        let sharing = context.shape.nHeads / context.shape.nKVHeads
        let queries = scratch + 16
        let outputs = queries + cache.width
        var tile = QueryTile(queries: queries, scores: outputs + cache.width, stride: stride, width: cache.width)
        var places = SIMD4<Int>.zero
        for row in rows {
            let shared = row / (tokens * sharing), t = row / sharing % tokens
            let h = shared * sharing + row % sharing
            let place = t * context.shape.dQuery + h * width
            if active?.contains(h, token: t) ?? true {
                (queries + tile.rows * stride).update(from: query.pointer + place, count: width)
                places[tile.rows] = place
                tile.counts[tile.rows] = start + t + 1
                tile.rows += 1
            } else {
                (heads.pointer + place).update(repeating: 0, count: width)
            }
            let isLast = row + 1 == rows.upperBound || (row + 1) / (tokens * sharing) > shared
            guard tile.rows == QueryTile.most || isLast && tile.rows > 0 else { continue }
            attend(tile, layer, shared, window, scratch, outputs, kernels)
            for i in 0..<tile.rows {
                (heads.pointer + places[i]).update(from: outputs + i * stride, count: width)
            }
            tile.rows = 0
        }
    }

    /// One tile; `numbers` takes a number a row.
    private func attend(
        _ tile: QueryTile, _ layer: Int, _ shared: Int, _ window: Int, _ numbers: UnsafeMutablePointer<Float>,
        _ outputs: UnsafeMutablePointer<Float>, _ kernels: KernelTable
    ) {
        var tile = tile
        // Positions that no row sees are left out in whole blocks of keys: from here on, positions count from `base`.
        let base = max(tile.counts[0] - window, 0) / QueryTile.keyBlock * QueryTile.keyBlock
        for i in 0..<tile.rows { tile.counts[i] -= base }
        cache.scores(tile, layer, shared, from: base, scale, kernels, largest: numbers)
        for i in 0..<tile.rows {
            let scores = tile.scores + i * tile.stride, count = tile.counts[i], first = max(count - window, 0)
            if softCap > 0 { kernels.softCap(scores + first, count - first, softCap) }
            if softCap > 0 || first > 0 { numbers[i] = kernels.largest(scores + first, count - first) }
            numbers[i] = kernels.softmaxWeights(scores, first, count, numbers[i])
        }
        cache.weightedValues(tile, layer, shared, from: base, numbers, kernels, into: outputs)
    }
}
