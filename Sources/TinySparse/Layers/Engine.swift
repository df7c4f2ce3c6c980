import SIMDKernels

/// What every part of a forward pass works with.
struct Engine {
    let config: ModelConfig
    let kernels: KernelTable
    let pool: WorkerPool
    let multiplier: Multiplier

    init(_ config: ModelConfig, kernels: KernelTable, pool: WorkerPool, capacity: Int) throws(RuntimeError) {
        self.config = config
        self.kernels = kernels
        self.pool = pool
        multiplier = try Multiplier(
            kernels: kernels, pool: pool, widest: max(config.dModel, config.dQuery, config.dFF, 4096),
            tallest: config.dModel, capacity: capacity)
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
            withUnsafeTemporaryAllocation(of: Float.self, capacity: config.dModel) { y in
                let x = x + t * config.dModel, y = y.baseAddress!
                if let bias = norm.bias {
                    kernels.layerNorm(x, norm.weight, bias, config.normEpsilon, config.dModel, y)
                } else {
                    kernels.rmsNorm(x, norm.weight, config.normEpsilon, config.dModel, y)
                }
                out.set(t, y, config.dModel, kernels)
            }
        }
    }
}
