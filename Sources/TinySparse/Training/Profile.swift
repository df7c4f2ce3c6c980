// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyRuntime

/// How sparse a layer is on some text.
package struct LayerProfile: Sendable {
    /// Share of the activations that are exactly zero.
    package internal(set) var zeros = 0.0
    /// Share of the activations below a hundredth of the largest of their token.
    package internal(set) var small = 0.0
    /// Share of the neurons that make up 90 and 99 % of a token's sum of |h|.
    package internal(set) var for90 = 0.0
    package internal(set) var for99 = 0.0
    /// Neurons active in both of two successive tokens by those active in one of them.
    package internal(set) var overlap = 0.0
    /// For how many tokens each neuron was active.
    package internal(set) var uses: [Int]
    /// Mean of each neuron's |h|.
    package internal(set) var means: [Double]
    /// Mean norm of what each head adds to the residual stream, by the mean norm of that stream.
    package internal(set) var heads: [Double]

    /// Neurons that were never active.
    package var dead: Int { uses.count { $0 == 0 } }
    /// The neurons by how much they did, the busiest first.
    package var busiest: [Int] { means.indices.sorted { (means[$0], $1) > (means[$1], $0) } }
}

/// How sparse a model is on some text: which neurons fire, how concentrated activations are, which heads matter.
///
/// A neuron counts as active if it fires (ReLU), or otherwise if it is among the largest that make up 90 % of its
/// token's sum of |h|.
package struct Profile: Sendable {
    package private(set) var layers: [LayerProfile]
    package private(set) var tokens = 0

    /// Reads the sample once, dense.
    /// - Parameter progress: called after every piece; returning false ends the profile.
    /// - Throws: `RuntimeError`.
    package init(
        _ session: Session, _ sample: TextSample, progress: (_ done: Int, _ of: Int) -> Bool = { _, _ in true }
    ) throws(RuntimeError) {
        let config = session.model.config
        guard config.experts == nil else {
            throw .badOption(
                "the neurons of a mixture of experts are chosen by its router; there is no profile of them")
        }
        layers = []
        var watch = (0..<config.nLayers).map { ProfileSums(session.model, layer: $0) }
        session.observeLayers { state in if state.layer >= 0 { watch[state.layer].add(state, session.pool) } }
        defer { session.observeLayers(nil) }
        for (index, chunk) in sample.chunks.enumerated() {
            session.rewind(to: 0)
            for i in watch.indices { watch[i].previous = nil }
            try session.evaluate(chunk)
            tokens += chunk.count
            if !progress(index + 1, sample.chunks.count) { break }
        }
        session.rewind(to: 0)
        layers = watch.map { $0.profile(tokens: tokens) }
    }
}

/// Sums over the tokens of one layer.
private struct ProfileSums {
    private let isSparse: Bool
    private let width: Int
    private let headWidth: Int
    private let contributions: HeadContributions
    private var zeros = 0, small = 0, for90 = 0, for99 = 0, shared = 0, united = 0
    private var uses: [Int]
    private var sums: [Double]
    private var heads: [Double]
    private var stream = 0.0
    /// Active neurons of the token before; nil at the beginning of a piece.
    var previous: [Bool]?

    init(_ model: Model, layer: Int) {
        let config = model.config
        isSparse = config.activation.isSparse
        width = config.dFF
        headWidth = config.dModel
        contributions = HeadContributions(config, model.weights.layers[layer].output)
        uses = [Int](repeating: 0, count: width)
        sums = [Double](repeating: 0, count: width)
        heads = [Double](repeating: 0, count: config.nHeads)
    }

    mutating func add(_ state: LayerState, _ pool: WorkerPool) {
        let norms = contributions.norms(of: state.heads, tokens: state.tokens, pool)
        for t in 0..<state.tokens {
            neurons(state.neurons + t * width)
            for h in heads.indices { heads[h] += Double(norms[t * heads.count + h]) }
            let x = state.hidden.baseAddress! + t * headWidth
            var energy: Float = 0
            for i in 0..<headWidth { energy += x[i] * x[i] }
            stream += Double(energy.squareRoot())
        }
    }

    private mutating func neurons(_ h: UnsafePointer<Float>) {
        var counts = [Int](repeating: 0, count: 256)
        var largest = 0
        for i in 0..<width {
            sums[i] += Double(h[i].magnitude)
            let level = Int(Level.of(h[i]))
            counts[level] += 1
            largest = max(largest, level)
        }
        zeros += (0..<width).reduce(0) { $0 + (h[$1] == 0 ? 1 : 0) }
        // A hundredth is 6.6 powers of two, 8 levels each.
        small += counts[..<max(largest - 53, 1)].reduce(0, +)
        let total = (0..<256).reduce(0) { $0 + Double(counts[$1]) * Double(Level.values[$1]) }
        var sum = 0.0, count = 0, least = 1
        var reached90 = false
        for level in stride(from: 255, through: 1, by: -1) where counts[level] > 0 {
            let value = Double(Level.values[level])
            func needed(_ share: Double) -> Int {
                count + min(Int(((share * total - sum) / value).rounded(.up)), counts[level])
            }
            if !reached90, sum + value * Double(counts[level]) >= 0.9 * total {
                for90 += needed(0.9)
                least = level
                reached90 = true
            }
            if sum + value * Double(counts[level]) >= 0.99 * total {
                for99 += needed(0.99)
                break
            }
            sum += value * Double(counts[level])
            count += counts[level]
        }
        let bound = isSparse ? 1 : least
        var active = [Bool](repeating: false, count: width)
        for i in 0..<width where isSparse ? h[i] != 0 : Int(Level.of(h[i])) >= bound {
            active[i] = true
            uses[i] += 1
        }
        if let previous {
            for i in 0..<width {
                shared += active[i] && previous[i] ? 1 : 0
                united += active[i] || previous[i] ? 1 : 0
            }
        }
        previous = active
    }

    func profile(tokens: Int) -> LayerProfile {
        let all = Double(max(tokens * width, 1))
        var profile = LayerProfile(
            uses: uses, means: sums.map { $0 / Double(max(tokens, 1)) },
            heads: heads.map { $0 / max(stream, .leastNormalMagnitude) })
        profile.zeros = Double(zeros) / all
        profile.small = Double(small) / all
        profile.for90 = Double(for90) / all
        profile.for99 = Double(for99) / all
        profile.overlap = united == 0 ? 0 : Double(shared) / Double(united)
        return profile
    }
}
