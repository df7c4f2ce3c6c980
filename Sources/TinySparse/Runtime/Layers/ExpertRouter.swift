// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// Chooses the experts of each token, and their weights (docs/NUMERICS.md, 9).
final class ExpertRouter {
    let experts: Experts
    private let context: ComputeContext
    /// Width of the shared expert; 0 for none.
    private let sharedWidth: Int
    /// `[capacity, count]`, and of each token the shared gate's product.
    private let scores, shared: AlignedBuffer<Float>
    /// The neurons of the token at hand, and the weight of each of its experts, the shared one last.
    private let neurons: ActiveSets
    private let weights: AlignedBuffer<Float>

    init?(_ context: ComputeContext, _ config: ModelConfig, capacity: Int, in memory: SessionMemory)
        throws(RuntimeError)
    {
        guard let experts = config.experts else { return nil }
        self.context = context
        self.experts = experts
        sharedWidth = config.dFF - experts.count * experts.width
        scores = try AlignedBuffer(capacity * experts.count, in: memory)
        shared = try AlignedBuffer(capacity, in: memory)
        neurons = try ActiveSets(total: config.dFF, capacity: 1, in: memory)
        weights = try AlignedBuffer(experts.active + 1, in: memory)
    }

    /// Scores the experts of a layer for each token.
    /// - Parameters:
    ///   - x: `[tokens, dModel]` of the residual stream.
    ///   - norm: what the router reads it through; nil for nothing.
    func score(_ layer: Weights.Layer, _ x: UnsafePointer<Float>, _ norm: Weights.Norm?, tokens: Int) {
        let width = context.shape.dModel, kernels = context.kernels
        context.forEachToken(tokens) { t in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { y in
                var input = x + t * width
                if let norm {
                    context.normalize(norm, input, width, into: y.baseAddress!)
                    input = UnsafePointer(y.baseAddress!)
                }
                kernels.floatDots(
                    layer.router!.pointer, experts.count, input, width, scores.pointer + t * experts.count)
                if let gate = layer.sharedGate {
                    kernels.floatDots(gate.pointer, 1, input, width, shared.pointer + t)
                }
            }
        }
    }

    /// The neurons of a token that has been scored, and what they are multiplied by. Valid until the next call.
    func choose(_ t: Int) -> (neurons: ActiveSets, weights: ExpertWeights) {
        let chosen = active(t)
        weigh(chosen, t)
        var list: [Int32] = []
        list.reserveCapacity(chosen.count * experts.width + sharedWidth)
        for expert in chosen { list += Int32(expert * experts.width)..<Int32((expert + 1) * experts.width) }
        list += Int32(experts.count * experts.width)..<Int32(context.shape.dFF)
        neurons.set(0, list)
        return (neurons, ExpertWeights(pointer: weights.pointer, width: experts.width, last: chosen.count))
    }

    /// The experts with the largest scores, ascending; of equals the first.
    private func active(_ t: Int) -> [Int] {
        let scores = scores.pointer + t * experts.count
        let ranked = (0..<experts.count).sorted { scores[$0] > scores[$1] || scores[$0] == scores[$1] && $0 < $1 }
        return ranked.prefix(experts.active).sorted()
    }

    private func weigh(_ chosen: [Int], _ t: Int) {
        let scores = scores.pointer + t * experts.count, weights = weights.pointer, kernels = context.kernels
        switch experts.router {
        case .softmax:
            let total = kernels.softmaxWeights(scores, 0, experts.count, kernels.largest(scores, experts.count))
            for (i, expert) in chosen.enumerated() { weights[i] = scores[expert] / total }
        case .sigmoid:
            for (i, expert) in chosen.enumerated() { weights[i] = scores[expert] }
            kernels.sigmoid(weights, chosen.count)
        }
        if experts.normalizes {
            var sum: Float = 0
            for i in chosen.indices { sum += weights[i] }
            for i in chosen.indices { weights[i] /= sum }
        }
        weights[chosen.count] = 1
        if experts.gatesShared {
            weights[chosen.count] = shared.pointer[t]
            kernels.sigmoid(weights + chosen.count, 1)
        }
    }
}

/// What the neurons of a token's experts are multiplied by: those of the i-th expert by `pointer[i]`.
struct ExpertWeights {
    let pointer: UnsafePointer<Float>
    /// Neurons of an expert.
    let width: Int
    /// The shared expert, whose neurons come after all others.
    let last: Int

    /// Multiplies `values`, which begin with the `first` neuron of the token's.
    func apply(to values: UnsafeMutablePointer<Float>, first: Int, _ count: Int) {
        for i in 0..<count { values[i] *= pointer[min((first + i) / width, last)] }
    }
}
