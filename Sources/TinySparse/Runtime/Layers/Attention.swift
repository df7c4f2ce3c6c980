// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// The attention half of a layer, over all heads or over the active ones (docs/NUMERICS.md, 8 to 10).
final class Attention {
    private let context: ComputeContext
    /// The rotation of each layer; nil for none.
    private let rotary: [RotaryTable?]
    /// How many tokens each layer sees; more than there can be for all.
    private let windows: [Int]
    private let softCap: Float
    private let normalizesAllHeads: Bool
    private let scale: Float
    private let query, key, value, heads: AlignedBuffer<Float>
    private let quantized: Activations
    /// For each worker a number and a query, an output and scores for each row of a tile, the heads padded.
    private let scratch: AlignedBuffer<Float>
    private let scratchSize: Int
    /// From one row of a tile to the next, and of a head, padded.
    private let stride, paddedWidth: Int
    /// Active heads of the tokens seen, and all there were.
    private(set) var computed = 0
    private(set) var possible = 0

    /// `[tokens, dQuery]` outputs of the heads of the last run, for observers.
    var outputs: UnsafePointer<Float> { UnsafePointer(heads.pointer) }

    init(
        _ context: ComputeContext, _ config: ModelConfig, contextLimit: Int, capacity: Int, in memory: SessionMemory
    ) throws(RuntimeError) {
        self.context = context
        var tables: [(rope: RotaryEmbedding, table: RotaryTable)] = []
        rotary = try (0..<config.nLayers).map { layer throws(RuntimeError) -> RotaryTable? in
            guard let rope = config.rope(layer) else { return nil }
            if let known = tables.first(where: { $0.rope == rope }) { return known.table }
            let table = try RotaryTable(rope, positions: contextLimit, in: memory)
            tables.append((rope, table))
            return table
        }
        windows = (0..<config.nLayers).map { config.window($0) ?? .max }
        softCap = config.attentionSoftCap
        normalizesAllHeads = config.normalizesAllHeads
        scale = 1 / Float(config.headDim).squareRoot()
        query = try AlignedBuffer(capacity * config.dQuery, in: memory)
        key = try AlignedBuffer(capacity * config.dKV, in: memory)
        value = try AlignedBuffer(capacity * config.dKV, in: memory)
        heads = try AlignedBuffer(capacity * config.dQuery, in: memory)
        quantized = try Activations(width: config.dQuery, capacity: capacity, in: memory)
        paddedWidth = paddedHead(config.headDim)
        stride = 2 * paddedWidth + KVPages.room(contextLimit) + QueryTile.keyBlock
        scratchSize = QueryTile.most * stride + 16
        scratch = try AlignedBuffer(context.pool.threads * scratchSize, in: memory)
    }

    /// `out[t] = W_o attention(W_q x[t], W_k x, W_v x)` for the tokens of a block, each of which sees those of its own
    /// sequence. Their keys and values go into the caches.
    /// - Parameter selection: the heads to compute.
    func run(
        _ layer: Weights.Layer, _ index: Int, _ x: Activations, _ block: TokenBlock, _ selection: Selection,
        into out: UnsafeMutablePointer<Float>
    ) {
        let shape = context.shape, tokens = block.count
        let active: ActiveSets? = if case .indices(let sets) = selection { sets } else { nil }
        possible += tokens * shape.nHeads
        computed += active.map { sets in (0..<tokens).reduce(0) { $0 + sets.count($1) } } ?? tokens * shape.nHeads
        project(layer, x, tokens, active)
        store(layer, index, block)
        attend(index, block, active)
        if let norm = layer.attentionSubNorm {
            context.normalizeInPlace(norm, heads.pointer, tokens, width: shape.dQuery)
        }
        context.forEachToken(tokens) { t in
            quantized.set(t, heads.pointer + t * shape.dQuery, shape.dQuery, context.kernels)
        }
        combine(layer.output, tokens, active, out)
    }

    /// Rotates queries and keys, and puts keys and values into the caches.
    private func store(_ layer: Weights.Layer, _ index: Int, _ block: TokenBlock) {
        let shape = context.shape, rotary = rotary[index]
        rotary?.fill(upTo: block.end)
        forEachKeyBlock(block) { run, t in
            let position = run.start + t - run.places.lowerBound
            let q = query.pointer + t * shape.dQuery, k = key.pointer + t * shape.dKV
            normalize(layer.queryNorm, q, shape.nHeads)
            normalize(layer.keyNorm, k, shape.nKVHeads)
            rotary?.rotate(q, shape.nHeads, width: shape.headDim, at: position, context.kernels)
            rotary?.rotate(k, shape.nKVHeads, width: shape.headDim, at: position, context.kernels)
            for h in 0..<shape.nKVHeads {
                let head = h * shape.headDim
                run.cache.store(k + head, value.pointer + t * shape.dKV + head, index, h, position, context.kernels)
            }
        }
    }

    /// The outputs of all heads of all tokens, split into rows: a row is one head of one token, and those of a run follow
    /// each other.
    private func attend(_ index: Int, _ block: TokenBlock, _ active: ActiveSets?) {
        let kernels = context.kernels, nHeads = context.shape.nHeads, window = windows[index]
        let work = nHeads * block.count
        let piece = rowsAtOnce(work, positions: min(block.end, window))
        context.pool.run((work + piece - 1) / piece) { number, worker in
            let rows = number * piece..<min((number + 1) * piece, work)
            for run in block.runs {
                let first = run.places.lowerBound * nHeads
                let ofRun = rows.clamped(to: first..<run.places.upperBound * nHeads)
                guard !ofRun.isEmpty else { continue }
                attend(
                    ofRun.lowerBound - first..<ofRun.upperBound - first, of: run, index, window, active,
                    scratch.pointer + worker * scratchSize, kernels)
            }
        }
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
    private func forEachKeyBlock(_ block: TokenBlock, _ body: (TokenBlock.Run, Int) -> Void) {
        guard block.count >= 4 else {
            for run in block.runs { run.places.forEach { body(run, $0) } }
            return
        }
        let size = QueryTile.keyBlock
        // Of each run the blocks of keys it touches.
        func blocks(_ run: TokenBlock.Run) -> Range<Int> {
            run.start / size..<(run.start + run.places.count + size - 1) / size
        }
        let total = block.runs.reduce(0) { $0 + blocks($1).count }
        context.pool.run(total) { number, _ in
            var number = number
            for run in block.runs {
                let all = blocks(run)
                guard number >= all.count else {
                    let from = (all.lowerBound + number) * size - run.start + run.places.lowerBound
                    return (from..<from + size).clamped(to: run.places).forEach { body(run, $0) }
                }
                number -= all.count
            }
        }
    }

    /// A piece of work is a few full tiles, and while the text is short enough rows to be worth waking a worker
    /// for. A single token is cut into equal shares, so that as few tiles as possible are.
    private func rowsAtOnce(_ work: Int, positions: Int) -> Int {
        let worthwhile = max(32_768 / (positions * paddedWidth), 4 * QueryTile.most)
        return min(worthwhile, (work + context.pool.threads - 1) / context.pool.threads)
    }

    /// The norm of queries or of keys, of each head or of all together.
    private func normalize(_ norm: Weights.Norm?, _ x: UnsafeMutablePointer<Float>, _ heads: Int) {
        guard let norm else { return }
        let width = context.shape.headDim
        if normalizesAllHeads { return context.normalize(norm, x, heads * width, into: x) }
        for h in 0..<heads { context.normalize(norm, x + h * width, width, into: x + h * width) }
    }

    /// Some of a run's rows: all heads that share keys and values lie together, token by token, so that what reads the same
    /// positions follows each other.
    private func attend(
        _ rows: Range<Int>, of run: TokenBlock.Run, _ layer: Int, _ window: Int, _ active: ActiveSets?,
        _ scratch: UnsafeMutablePointer<Float>, _ kernels: KernelTable
    ) {
        let width = context.shape.headDim, tokens = run.places.count
        let sharing = context.shape.nHeads / context.shape.nKVHeads
        let queries = scratch + 16
        let outputs = queries + paddedWidth
        var tile = QueryTile(queries: queries, scores: outputs + paddedWidth, stride: stride, width: paddedWidth)
        var places = SIMD4<Int>.zero
        for row in rows {
            let shared = row / (tokens * sharing), i = row / sharing % tokens
            let h = shared * sharing + row % sharing, t = run.places.lowerBound + i
            let place = t * context.shape.dQuery + h * width
            if active?.contains(h, token: t) ?? true {
                copy(query.pointer + place, to: queries + tile.rows * stride, count: width)
                places[tile.rows] = place
                tile.counts[tile.rows] = run.start + i + 1
                tile.rows += 1
            } else {
                (heads.pointer + place).update(repeating: 0, count: width)
            }
            let isLast = row + 1 == rows.upperBound || (row + 1) / (tokens * sharing) > shared
            guard tile.rows == QueryTile.most || isLast && tile.rows > 0 else { continue }
            attend(tile, run.cache, layer, shared, window, scratch, outputs, kernels)
            for i in 0..<tile.rows {
                copy(outputs + i * stride, to: heads.pointer + places[i], count: width)
            }
            tile.rows = 0
        }
    }

    /// (Embedded Swift makes a call for each number of `update(from:count:)`.)
    @inline(__always)
    private func copy(_ x: UnsafePointer<Float>, to out: UnsafeMutablePointer<Float>, count: Int) {
        UnsafeMutableRawPointer(out).copyMemory(from: x, byteCount: count * MemoryLayout<Float>.size)
    }

    /// One tile; `numbers` takes a number a row.
    private func attend(
        _ tile: QueryTile, _ cache: KVCache, _ layer: Int, _ shared: Int, _ window: Int,
        _ numbers: UnsafeMutablePointer<Float>, _ outputs: UnsafeMutablePointer<Float>, _ kernels: KernelTable
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
