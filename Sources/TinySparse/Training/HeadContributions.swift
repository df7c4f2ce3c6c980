// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyRuntime

/// What the heads of a layer add to the residual stream, in size: ||W_o,h out_h||.
///
/// With the Gram matrix of a head's columns of W_o, a norm costs d_head^2 instead of d_model * d_head.
struct HeadContributions {
    private let heads: Int
    private let width: Int
    /// `[heads, width, width]`.
    private let grams: [Float]

    init(_ config: ModelConfig, _ output: Linear) {
        heads = config.nHeads
        width = config.headDim
        let (heads, width) = (heads, width)
        var grams = [Float](repeating: 0, count: heads * width * width)
        let weights = output.expanded
        for start in stride(from: 0, to: weights.count, by: heads * width) {
            for h in 0..<heads {
                let row = start + h * width
                for i in 0..<width {
                    let factor = weights[row + i]
                    let gram = (h * width + i) * width
                    for j in 0..<width { grams[gram + j] += factor * weights[row + j] }
                }
            }
        }
        self.grams = grams
    }

    /// `[tokens, heads]` norms of the contributions of `[tokens, heads * width]` outputs.
    func norms(of outputs: UnsafePointer<Float>, tokens: Int, _ pool: WorkerPool) -> [Float] {
        let (heads, width) = (heads, width)
        return [Float](unsafeUninitializedCapacity: tokens * heads) { norms, count in
            nonisolated(unsafe) let norms = norms.baseAddress!
            grams.withUnsafeBufferPointer { grams in
                nonisolated(unsafe) let grams = grams.baseAddress!
                nonisolated(unsafe) let outputs = outputs
                pool.run(tokens) { t, _ in
                    for h in 0..<heads {
                        let x = outputs + (t * heads + h) * width
                        var energy: Float = 0
                        for i in 0..<width {
                            let row = grams + (h * width + i) * width
                            var sum: Float = 0
                            for j in 0..<width { sum += row[j] * x[j] }
                            energy += sum * x[i]
                        }
                        norms[t * heads + h] = max(energy, 0).squareRoot()
                    }
                }
            }
            count = tokens * heads
        }
    }
}
