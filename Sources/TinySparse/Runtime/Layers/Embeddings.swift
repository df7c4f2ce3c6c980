// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// The beginning and the end of a forward pass: tokens to the residual stream, and, where embeddings have a width of
/// their own, the residual stream to what the LM head multiplies (docs/NUMERICS.md, 9).
final class Embeddings {
    private let context: ComputeContext
    private let weights: Weights
    private let dModel, width: Int
    /// `[capacity, width]`; empty where embeddings are as wide as the residual stream.
    private let narrow: AlignedBuffer<Float>
    private let quantized: Activations

    init(
        _ context: ComputeContext, _ config: ModelConfig, _ weights: Weights, capacity: Int, in memory: SessionMemory
    ) throws(RuntimeError) {
        self.context = context
        self.weights = weights
        (dModel, width) = (config.dModel, config.embeddingWidth)
        narrow = try AlignedBuffer(config.projectsEmbeddings ? capacity * width : 0, in: memory)
        quantized = try Activations(width: config.projectsEmbeddings ? width : 0, capacity: capacity, in: memory)
    }

    /// `out[t] = embedding of token t of the block`, with its position if positions are learned.
    func embed(_ block: TokenBlock, into out: UnsafeMutablePointer<Float>) {
        let rows = weights.embeddingIn == nil ? out : narrow.pointer
        for (t, token) in block.tokens.enumerated() { expand(Int(token), into: rows + t * width) }
        if let map = weights.embeddingIn {
            for t in 0..<block.count { quantized.set(t, rows + t * width, width, context.kernels) }
            context.products.multiply(quantized.rows(), tokens: block.count, ProductTarget(map: map, out: out))
        }
        guard let positions = weights.positions else { return }
        for run in block.runs {
            for (i, t) in run.places.enumerated() {
                context.kernels.add(out + t * dModel, positions.pointer + (run.start + i) * dModel, dModel)
            }
        }
    }

    private func expand(_ token: Int, into x: UnsafeMutablePointer<Float>) {
        switch weights.embedding.rows {
        case .int8(let rows):
            context.kernels.expandRow(rows.weights + token * rows.stride, rows.scales[token], width, x)
        case .fourBit(let rows): context.kernels.fourBit.expandRow(rows, token, width, x)
        case .ternary: preconditionFailure("embeddings are not ternary")
        }
    }

    /// From the residual stream, normalized, to embeddings: `x` itself where both are as wide.
    func project(_ x: Activations, tokens: Int) -> Activations {
        guard let map = weights.embeddingOut else { return x }
        context.products.multiply(x.rows(), tokens: tokens, ProductTarget(map: map, out: narrow.pointer))
        for t in 0..<tokens { quantized.set(t, narrow.pointer + t * width, width, context.kernels) }
        return quantized
    }
}
