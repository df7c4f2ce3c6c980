// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// The numbers of a configuration that layers compute with. Unlike the configuration it holds no references:
/// workers that copied those would contend for their reference counts, which costs more than the work.
package struct LayerShape {
    package let dModel, dFF, nHeads, nKVHeads, headDim: Int
    let normEpsilon: Float
    let activation: ModelConfig.Activation
    let activationThreshold: Float
    let gated, activatesUp: Bool

    /// Width of all query heads together.
    var dQuery: Int { nHeads * headDim }
    /// Width of all key heads together.
    var dKV: Int { nKVHeads * headDim }

    init(_ config: ModelConfig) {
        dModel = config.dModel
        dFF = config.dFF
        nHeads = config.nHeads
        nKVHeads = config.nKVHeads
        headDim = config.headDim
        normEpsilon = config.normEpsilon
        activation = config.activation
        activationThreshold = config.activationThreshold
        gated = config.gated
        activatesUp = config.activatesUp
    }
}

/// What every part of a forward pass computes with: shapes, kernels, threads, and products of matrices.
package final class ComputeContext {
    package let shape: LayerShape
    package let kernels: KernelTable
    package let pool: WorkerPool
    let products: MatrixProducts
    let neuronSums: NeuronSums

    init(
        _ config: ModelConfig, kernels: KernelTable, pool: WorkerPool, capacity: Int, in memory: SessionMemory
    ) throws(RuntimeError) {
        shape = LayerShape(config)
        self.kernels = kernels
        self.pool = pool
        let widest = max(config.dModel, config.dQuery, config.dFF, config.embeddingWidth, 4096)
        let scratch = try WorkerScratch(
            kernels, threads: pool.threads, widest: widest, tallest: max(config.dModel, config.dFF),
            hasTernary: !config.ternary.isEmpty, in: memory)
        products = try MatrixProducts(
            kernels: kernels, pool: pool, scratch: scratch, widest: widest, capacity: capacity, in: memory)
        neuronSums = NeuronSums(kernels: kernels, pool: pool, scratch: scratch)
    }

    /// `target.out[t] = target.map(x[t])`, whatever the map's rows are.
    func multiply(_ x: Activations, tokens: Int, _ target: ProductTarget) {
        if !target.map.isNeuronMajor {
            products.multiply(x.rows(), tokens: tokens, target)
        } else if tokens >= NeuronSums.tileThreshold {
            products.multiplyTiled(x.rows(), tokens: tokens, target)
        } else {
            neuronSums.multiply(x, tokens: tokens, active: nil, target)
        }
    }

    /// Work that is split by token. A few tokens do not amortize waking the workers.
    package func forEachToken(_ tokens: Int, _ body: (Int) -> Void) {
        if tokens < 4 {
            for t in 0..<tokens { body(t) }
        } else {
            pool.run(tokens) { t, _ in body(t) }
        }
    }

    /// `out[t] = quantize(norm(x[t]))` for rows of the residual stream; without a norm they are quantized as they are.
    func normalize(
        _ norm: Weights.Norm?, _ x: UnsafePointer<Float>, _ tokens: Int, into out: Activations
    ) {
        forEachToken(tokens) { t in
            let x = x + t * shape.dModel
            guard let norm else { return out.set(t, x, shape.dModel, kernels) }
            withUnsafeTemporaryAllocation(of: Float.self, capacity: shape.dModel) { y in
                normalize(norm, x, shape.dModel, into: y.baseAddress!)
                out.set(t, y.baseAddress!, shape.dModel, kernels)
            }
        }
    }

    /// `x[t] = norm(x[t])`, rows of `width` values.
    func normalizeInPlace(_ norm: Weights.Norm, _ x: UnsafeMutablePointer<Float>, _ tokens: Int, width: Int) {
        forEachToken(tokens) { t in normalize(norm, x + t * width, width, into: x + t * width) }
    }

    /// `out = norm(x)`, which may be in the same place.
    func normalize(_ norm: Weights.Norm, _ x: UnsafePointer<Float>, _ width: Int, into out: UnsafeMutablePointer<Float>)
    {
        if let bias = norm.bias {
            kernels.layerNorm(x, norm.weight, bias, shape.normEpsilon, width, out)
        } else {
            kernels.rmsNorm(x, norm.weight, shape.normEpsilon, width, out)
        }
    }
}
