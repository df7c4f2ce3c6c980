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
    /// nil if every logit is exact.
    package let screen: LMHeadScreen?

    /// Most tokens in a block.
    package let blockSize: Int

    /// `[blockSize, dModel]`: the residual stream, and what a layer adds to it.
    private let hidden, change: AlignedBuffer<Float>
    /// The quantized norms before attention and MLP. While the heads of a layer are selected, `mlpInput` still is that of
    /// the layer before.
    private let attentionInput, mlpInput: Activations

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
        _ model: Model, kernels: KernelTable, pool: WorkerPool, cache: KVCache, blockSize: Int, sparsity: Sparsity,
        screensHead: Bool, in memory: SessionMemory, selector: SelectorFactory?
    ) throws(RuntimeError) {
        config = model.config
        weights = model.weights
        self.blockSize = blockSize
        context = try ComputeContext(config, kernels: kernels, pool: pool, capacity: blockSize, in: memory)
        attention = try Attention(context, config, cache: cache, capacity: blockSize, in: memory)
        mlp = try MLP(context, capacity: blockSize, in: memory)
        if let selector {
            self.selector = try selector(context, weights, blockSize, memory)
        } else {
            self.selector = try PredictorSelector.make(context, weights, sparsity, capacity: blockSize, in: memory)
        }
        screen = screensHead ? try LMHeadScreen(context, weights, in: memory) : nil
        hidden = try AlignedBuffer(blockSize * config.dModel, in: memory)
        change = try AlignedBuffer(blockSize * config.dModel, in: memory)
        attentionInput = try Activations(width: config.dModel, capacity: blockSize, in: memory)
        mlpInput = try Activations(width: config.dModel, capacity: blockSize, in: memory)
    }

    /// Runs `tokens` at positions `start...`, leaving their keys and values in the cache and their
    /// final hidden states in place for `logits`. Tokens and positions are in range (`Session` checks).
    /// - Parameter dense: compute every neuron and head, whatever the sparsity.
    package func run(_ tokens: ArraySlice<Int32>, at start: Int, dense: Bool = false) {
        let count = tokens.count
        let selector = dense ? nil : selector
        measure(.embedding) { embed(tokens, at: start) }
        observe(-1, count)
        for (index, layer) in weights.layers.enumerated() {
            let heads = measure(.prediction) { selector?.heads(index, mlpInput, tokens: count) ?? .all }
            measure(.attention) {
                context.normalize(layer.attentionNorm, hidden.pointer, count, into: attentionInput)
                attention.run(layer, index, attentionInput, tokens: count, at: start, heads, into: change.pointer)
                context.kernels.add(hidden.pointer, change.pointer, count * config.dModel)
                context.normalize(layer.mlpNorm, hidden.pointer, count, into: mlpInput)
            }
            if let selector, selector.usesGates(index) {
                measure(.mlp) {
                    mlp.computeGates(layer, mlpInput, tokens: count)
                    let neurons = selector.neurons(index, gates: mlp.gateActivations, tokens: count)
                    mlp.run(layer, mlpInput, tokens: count, neurons, gatesAreComputed: true, into: change.pointer)
                }
            } else {
                let neurons = measure(.prediction) {
                    selector?.neurons(index, attentionInput: attentionInput, mlpInput: mlpInput, tokens: count) ?? .all
                }
                measure(.mlp) { mlp.run(layer, mlpInput, tokens: count, neurons, into: change.pointer) }
            }
            measure(.mlp) { context.kernels.add(hidden.pointer, change.pointer, count * config.dModel) }
            observe(index, count)
        }
    }

    /// The logits of tokens `first ..< first + count` of the last block: `out[count, vocabularySize]`.
    package func logits(_ first: Int, _ count: Int, into out: UnsafeMutablePointer<Float>) {
        measure(.head) {
            context.products.multiply(
                output(of: first, count).rows(), tokens: count, ProductTarget(map: weights.head, out: out))
        }
    }

    /// The same of one token, of which only the `topK` largest have to be exact; 0 stands for all.
    package func logits(_ token: Int, topK: Int, into out: UnsafeMutablePointer<Float>) {
        guard let screen, LMHeadScreen.possible.contains(topK) else { return logits(token, 1, into: out) }
        measure(.head) { screen.run(output(of: token, 1).row(0), topK: topK, into: out) }
    }

    /// The quantized output norms, which the LM head multiplies.
    package func output(of first: Int, _ count: Int) -> Activations {
        context.normalize(
            weights.outputNorm, hidden.pointer + first * config.dModel, count, into: attentionInput)
        return attentionInput
    }

    private func embed(_ tokens: ArraySlice<Int32>, at start: Int) {
        for (t, token) in tokens.enumerated() {
            let x = hidden.pointer + t * config.dModel
            switch weights.embedding.rows {
            case .int8(let rows):
                context.kernels.expandRow(
                    rows.weights + Int(token) * rows.stride, rows.scales[Int(token)], config.dModel, x)
            case .fourBit(let rows):
                context.kernels.fourBit.expandRow(rows, Int(token), config.dModel, x)
            }
            if let positions = weights.positions {
                context.kernels.add(x, positions.pointer + (start + t) * config.dModel, config.dModel)
            }
        }
    }

    private func observe(_ layer: Int, _ count: Int) {
        observer?(
            LayerState(
                layer: layer, tokens: count, attentionInput: attentionInput, mlpInput: mlpInput,
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
