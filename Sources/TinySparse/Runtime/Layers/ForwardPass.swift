// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// The forward pass of a decoder, from tokens to logits (docs/NUMERICS.md, 9).
///
/// A block of tokens goes through each layer together; a block of one is decoding. All buffers are
/// made once; a pass allocates nothing that grows.
package final class ForwardPass {
    private let config: ModelConfig
    private let weights: Weights
    private let context: ComputeContext
    private let attention: Attention
    private let mlp: MLP
    /// nil if everything is dense.
    private let selector: (any SparsitySelector)?
    /// nil if the model has no experts.
    private let router: ExpertRouter?
    /// nil if every logit is exact.
    package let screen: LMHeadScreen?
    private var threadChoice = ThreadChoice()

    /// Most tokens in a block.
    package let blockSize: Int

    /// `[blockSize, dModel]`: the residual stream, and what a layer adds to it.
    private let hidden, change: AlignedBuffer<Float>
    private let inputs: LayerInputs
    /// Embeddings, and their connection to the residual stream.
    private let embeddings: Embeddings

    /// Called after the embedding (layer -1) and after every layer.
    package var observer: ((LayerState) -> Void)?
    /// Measures stages from when it is set.
    package var stopwatch: Stopwatch?
    /// Neurons and heads computed so far.
    package var activity: Activity {
        Activity(
            neurons: mlp.computed, allNeurons: mlp.possible, heads: attention.computed, allHeads: attention.possible)
    }

    /// Makes a selector other than that of `Sparsity`; nil for a dense pass.
    package typealias SelectorFactory =
        (ComputeContext, Weights, _ capacity: Int, SessionMemory) throws(RuntimeError) -> (any SparsitySelector)?

    init(
        _ model: Model, kernels: KernelTable, pool: WorkerPool, contextLimit: Int, blockSize: Int, sparsity: Sparsity,
        screensHead: Bool, in memory: SessionMemory, selector: SelectorFactory?
    ) throws(RuntimeError) {
        config = model.config
        weights = model.weights
        self.blockSize = blockSize
        context = try ComputeContext(config, kernels: kernels, pool: pool, capacity: blockSize, in: memory)
        attention = try Attention(context, config, contextLimit: contextLimit, capacity: blockSize, in: memory)
        // Experts are computed token by token.
        mlp = try MLP(context, capacity: config.experts == nil ? blockSize : 1, in: memory)
        if let selector {
            self.selector = try selector(context, weights, blockSize, memory)
        } else {
            self.selector = try PredictorSelector.make(context, weights, sparsity, capacity: blockSize, in: memory)
        }
        screen = screensHead ? try LMHeadScreen(context, weights, in: memory) : nil
        hidden = try AlignedBuffer(blockSize * config.dModel, in: memory)
        change = try AlignedBuffer(blockSize * config.dModel, in: memory)
        inputs = try LayerInputs(config, capacity: blockSize, hasSelector: self.selector != nil, in: memory)
        router = try ExpertRouter(context, config, capacity: blockSize, in: memory)
        embeddings = try Embeddings(context, config, weights, capacity: blockSize, in: memory)
    }

    /// Runs a block, leaving keys and values in the caches of its sequences and the final hidden states in place for
    /// `logits`. Tokens and positions are in range (`Session` and `Batch` check).
    /// - Parameter dense: compute every neuron and head, whatever the sparsity.
    func run(_ block: TokenBlock, dense: Bool = false) {
        let pool = context.pool
        pool.isAlone = block.count == 1 && threadChoice.isAlone
        guard block.count == 1, pool.threads > 1 else { return pass(block, dense) }
        let start = Stopwatch.now
        pass(block, dense)
        threadChoice.passed(nanoseconds: Stopwatch.now - start)
    }

    private func pass(_ block: TokenBlock, _ dense: Bool) {
        let count = block.count
        let selector = dense ? nil : selector
        measure(.embedding) { embeddings.embed(block, into: hidden.pointer) }
        observe(-1, count)
        for (index, layer) in weights.layers.enumerated() {
            let heads = measure(.prediction) { selector?.heads(index, inputs, tokens: count) ?? .all }
            if let router, router.experts.looksAhead {
                measure(.prediction) { router.score(layer, hidden.pointer, nil, tokens: count) }
            }
            measure(.attention) {
                inputs.setAttention(layer.attentionNorm, hidden.pointer, count, context)
                // A parallel MLP reads what attention reads.
                if config.residual == .parallel { inputs.setMLP(layer.mlpNorm, hidden.pointer, count, context) }
                attention.run(layer, index, inputs.attention, block, heads, into: change.pointer)
                addChange(layer.attentionPostNorm, count)
                if config.residual != .parallel { inputs.setMLP(layer.mlpNorm, hidden.pointer, count, context) }
            }
            if let router {
                if !router.experts.looksAhead {
                    measure(.prediction) { router.score(layer, hidden.pointer, layer.mlpNorm, tokens: count) }
                }
                measure(.mlp) { mlp.run(layer, inputs.mlp, tokens: count, router, into: change.pointer) }
            } else if let selector, selector.usesGates(index) {
                measure(.mlp) {
                    mlp.computeGates(layer, inputs.mlp, tokens: count)
                    let neurons = selector.neurons(index, gates: mlp.gateActivations, tokens: count)
                    mlp.run(layer, inputs.mlp, tokens: count, neurons, gatesAreComputed: true, into: change.pointer)
                }
            } else {
                let neurons = measure(.prediction) {
                    selector?.neurons(index, inputs, tokens: count) ?? .all
                }
                measure(.mlp) { mlp.run(layer, inputs.mlp, tokens: count, neurons, into: change.pointer) }
            }
            measure(.mlp) { addChange(layer.mlpPostNorm, count) }
            observe(index, count)
        }
    }

    /// Adds what half a layer computed to the residual stream.
    /// - Parameter norm: that of the change, or of the sum.
    private func addChange(_ norm: Weights.Norm?, _ count: Int) {
        let isOfSum = config.residual == .normalized
        if let norm, !isOfSum { context.normalizeInPlace(norm, change.pointer, count, width: config.dModel) }
        context.kernels.add(hidden.pointer, change.pointer, count * config.dModel)
        if let norm, isOfSum { context.normalizeInPlace(norm, hidden.pointer, count, width: config.dModel) }
    }

    /// The logits of tokens `first ..< first + count` of the last block: `out[count, vocabularySize]`.
    package func logits(_ first: Int, _ count: Int, into out: UnsafeMutablePointer<Float>) {
        measure(.head) {
            context.products.multiply(
                output(of: first, count).rows(), tokens: count, ProductTarget(map: weights.head, out: out))
            capLogits(out, count)
        }
    }

    /// The same of one token, of which only the `topK` largest have to be exact; 0 stands for all.
    package func logits(_ token: Int, topK: Int, into out: UnsafeMutablePointer<Float>) {
        guard let screen, LMHeadScreen.possible.contains(topK) else { return logits(token, 1, into: out) }
        measure(.head) {
            screen.run(output(of: token, 1).row(0), topK: topK, into: out)
            capLogits(out, 1)
        }
    }

    /// The same of some tokens, ascending: `out[places.count, vocabularySize]`. Tokens that follow one another and need all
    /// logits read the matrix together.
    func logits(_ places: [Int], topK: [Int], into out: UnsafeMutablePointer<Float>) {
        let isScreened = screen != nil && topK.contains { LMHeadScreen.possible.contains($0) }
        if let first = places.first, places.last == first + places.count - 1, !isScreened {
            return logits(first, places.count, into: out)
        }
        for (i, place) in places.enumerated() {
            logits(place, topK: topK[i], into: out + i * config.vocabularySize)
        }
    }

    /// What the LM head multiplies.
    package func output(of first: Int, _ count: Int) -> Activations {
        context.normalize(
            weights.outputNorm, hidden.pointer + first * config.dModel, count, into: inputs.attention)
        return embeddings.project(inputs.attention, tokens: count)
    }

    private func capLogits(_ logits: UnsafeMutablePointer<Float>, _ count: Int) {
        guard config.logitSoftCap > 0 else { return }
        let total = count * config.vocabularySize, some = 1 << 14
        context.pool.run((total + some - 1) / some) { task, _ in
            context.kernels.softCap(logits + task * some, min(some, total - task * some), config.logitSoftCap)
        }
    }

    private func observe(_ layer: Int, _ count: Int) {
        observer?(
            LayerState(
                layer: layer, tokens: count, attentionInput: inputs.attention, mlpInput: inputs.mlp,
                heads: attention.outputs,
                neurons: mlp.activations, gates: mlp.gateActivations,
                hidden: UnsafeBufferPointer(start: hidden.pointer, count: count * config.dModel)))
    }

    @inline(__always)
    private func measure<Result>(_ stage: Stage, _ body: () -> Result) -> Result {
        guard stopwatch != nil else { return body() }
        let start = Stopwatch.now
        let result = body()
        stopwatch!.add(Stopwatch.now - start, to: stage)
        return result
    }
}
