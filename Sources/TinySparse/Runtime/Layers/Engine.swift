import SIMDKernels
import TinyFormats

/// The numbers of a configuration that layers compute with. Unlike the configuration it holds no references:
/// workers that copied those would count them against each other, which costs more than the work.
struct LayerShape {
    let dModel, dFF, nHeads, nKVHeads, headDim: Int
    let normEpsilon: Float
    let activation: ModelConfig.Activation
    let gated: Bool

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
        gated = config.gated
    }
}

/// What every part of a forward pass works with.
final class Engine {
    let shape: LayerShape
    let kernels: KernelTable
    let pool: WorkerPool
    let multiplier: Multiplier

    init(_ config: ModelConfig, kernels: KernelTable, pool: WorkerPool, capacity: Int) throws(RuntimeError) {
        shape = LayerShape(config)
        self.kernels = kernels
        self.pool = pool
        multiplier = try Multiplier(
            kernels: kernels, pool: pool, widest: max(config.dModel, config.dQuery, config.dFF, 4096),
            tallest: max(config.dModel, config.dFF), capacity: capacity)
    }

    /// Work that is split by token. Few tokens are not worth waking anybody.
    func forEach(_ tokens: Int, _ body: (Int) -> Void) {
        if tokens < 4 {
            for t in 0..<tokens { body(t) }
        } else {
            pool.run(tokens) { t, _ in body(t) }
        }
    }

    /// `out[t] = quantize(norm(x[t]))`.
    func normalize(
        _ norm: Weights.Norm, _ x: UnsafePointer<Float>, _ tokens: Int, into out: Activations
    ) {
        forEach(tokens) { t in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: shape.dModel) { y in
                let x = x + t * shape.dModel, y = y.baseAddress!
                if let bias = norm.bias {
                    kernels.layerNorm(x, norm.weight, bias, shape.normEpsilon, shape.dModel, y)
                } else {
                    kernels.rmsNorm(x, norm.weight, shape.normEpsilon, shape.dModel, y)
                }
                out.set(t, y, shape.dModel, kernels)
            }
        }
    }
}
