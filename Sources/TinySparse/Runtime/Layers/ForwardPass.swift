import SIMDKernels
import TinyFormats

/// The forward pass of a decoder, from tokens to logits, in the words of docs/NUMERICS.md, 9.
///
/// A block of tokens goes through each layer together; a block of one is decoding. All scratch is
/// made once; a pass allocates nothing that grows.
package final class ForwardPass {
    private let config: ModelConfig
    private let weights: Weights
    private let engine: Engine
    private let attention: Attention
    private let mlp: MLP
    private let selector: Selector?
    /// nil if every logit is exact.
    let screen: HeadScreen?

    /// Most tokens in a block.
    package let blockSize: Int

    // [blockSize, dModel]
    private let hidden: AlignedBuffer<Float>
    private let change: AlignedBuffer<Float>
    private let attentionInput, mlpInput: Activations

    /// Called after the embedding (layer -1) and every layer with `[tokens, dModel]` hidden states.
    var observer: ((_ layer: Int, _ hidden: UnsafeBufferPointer<Float>) -> Void)?
    /// Called after every layer with what it saw and did.
    var probe: ((LayerProbe) -> Void)?
    /// Measures stages from when it is set.
    var stopwatch: Stopwatch?
    /// Neurons and heads computed so far.
    var activity: Activity {
        Activity(neurons: mlp.computed, allNeurons: mlp.possible, heads: attention.computed, allHeads: attention.possible)
    }

    init(
        _ model: Model, kernels: KernelTable, pool: WorkerPool, cache: KVCache, blockSize: Int,
        sparsity: Sparsity, screensHead: Bool
    ) throws(RuntimeError) {
        config = model.config
        weights = model.weights
        self.blockSize = blockSize
        engine = try Engine(config, kernels: kernels, pool: pool, capacity: blockSize)
        attention = try Attention(engine, config, cache: cache, capacity: blockSize)
        mlp = try MLP(engine, capacity: blockSize)
        selector = try Selector(engine, weights, sparsity, capacity: blockSize)
        screen = screensHead ? try HeadScreen(engine, weights) : nil
        hidden = try AlignedBuffer(blockSize * config.dModel)
        change = try AlignedBuffer(blockSize * config.dModel)
        attentionInput = try Activations(width: config.dModel, capacity: blockSize)
        mlpInput = try Activations(width: config.dModel, capacity: blockSize)
    }

    /// Runs `tokens` at positions `start...`, leaving their keys and values in the cache and their
    /// final hidden states in place for `logits`. Tokens and positions are in range (`Session` checks).
    /// - Parameter dense: compute every neuron and head, whatever the sparsity.
    func run(_ tokens: ArraySlice<Int32>, at start: Int, dense: Bool = false) {
        let count = tokens.count
        let selector = dense ? nil : selector
        stopwatch?.start()
        embed(tokens, at: start)
        observe(-1, count)
        stopwatch?.lap(.embedding)
        for (index, layer) in weights.layers.enumerated() {
            // Heads come from the norm before the previous MLP, so they are known before this layer begins.
            let heads = selector?.heads(index, mlpInput, tokens: count)
            stopwatch?.lap(.prediction)
            engine.normalize(layer.attentionNorm, hidden.pointer, count, into: attentionInput)
            attention.run(
                layer, index, attentionInput, tokens: count, at: start, active: heads, into: change.pointer)
            engine.kernels.add(hidden.pointer, change.pointer, count * config.dModel)

            engine.normalize(layer.mlpNorm, hidden.pointer, count, into: mlpInput)
            stopwatch?.lap(.attention)
            let known = weights.predictsAhead ? attentionInput : mlpInput
            let neurons = selector?.neurons(index, known, tokens: count) ?? .all
            stopwatch?.lap(.prediction)
            mlp.run(layer, mlpInput, tokens: count, neurons, into: change.pointer)
            if let best = selector?.largest(index, mlp.activations, tokens: count) {
                mlp.run(layer, mlpInput, tokens: count, .these(best), into: change.pointer)
            }
            engine.kernels.add(hidden.pointer, change.pointer, count * config.dModel)
            stopwatch?.lap(.mlp)
            observe(index, count)
            probe?(LayerProbe(
                layer: index, tokens: count, attentionInput: attentionInput, mlpInput: mlpInput,
                heads: attention.outputs, neurons: mlp.activations, gates: mlp.gateActivations, hidden: hidden.pointer))
        }
    }

    /// The logits of tokens `first ..< first + count` of the last block: `out[count, vocabularySize]`.
    func logits(_ first: Int, _ count: Int, into out: UnsafeMutablePointer<Float>) {
        stopwatch?.start()
        engine.multiplier.multiply(
            output(of: first, count).rows(), tokens: count, .init(map: weights.head, out: out))
        stopwatch?.lap(.head)
    }

    /// The same of one token, of which only the `likeliest` largest have to be exact; 0 stands for all.
    func logits(_ token: Int, likeliest: Int, into out: UnsafeMutablePointer<Float>) {
        guard let screen, HeadScreen.possible.contains(likeliest) else { return logits(token, 1, into: out) }
        stopwatch?.start()
        screen.run(output(of: token, 1).row(0), likeliest: likeliest, into: out)
        stopwatch?.lap(.head)
    }

    /// The quantized norms that the head of the model multiplies.
    package func output(of first: Int, _ count: Int) -> Activations {
        engine.normalize(
            weights.outputNorm, hidden.pointer + first * config.dModel, count, into: attentionInput)
        return attentionInput
    }

    private func embed(_ tokens: ArraySlice<Int32>, at start: Int) {
        for (t, token) in tokens.enumerated() {
            let x = hidden.pointer + t * config.dModel
            switch weights.embedding.rows {
            case .int8(let rows):
                engine.kernels.expandRow(
                    rows.weights + Int(token) * rows.stride, rows.scales[Int(token)], config.dModel, x)
            case .fourBit(let rows):
                engine.kernels.fourBit.expandRow(rows, Int(token), config.dModel, x)
            }
            if let positions = weights.positions {
                engine.kernels.add(x, positions.pointer + (start + t) * config.dModel, config.dModel)
            }
        }
    }

    private func observe(_ layer: Int, _ count: Int) {
        observer?(layer, UnsafeBufferPointer(start: hidden.pointer, count: count * config.dModel))
    }
}
