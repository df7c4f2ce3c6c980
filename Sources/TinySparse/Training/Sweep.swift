// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinyRuntime

/// A way of choosing a fixed share of each layer's neurons.
package enum SweepMethod: String, CaseIterable, Sendable {
    /// The largest activations, known by computing all: the best there is.
    case oracle
    /// The highest scores of the model's predictors.
    case predictor
    /// The neurons that were most active on another text, the same for every token.
    case `static`
    /// Some neurons, the same for every token.
    case random
}

/// One measurement of a sweep.
package struct SweepPoint: Sendable {
    /// nil for the model's own thresholds.
    package let method: SweepMethod?
    package let keep: Double
    package let quality: Quality
    /// Weights read a token; nil where computing all is part of the method.
    package internal(set) var bytes: Int?
    /// Decoded tokens a second, and those of the dense model in alternation; predictor only.
    package internal(set) var speed: (sparse: Double, dense: Double)?
    /// What the screen of the output matrix does; nil where all of that is computed.
    package internal(set) var screen: LMHeadScreenQuality?
}

/// Quality against the share of neurons that is computed, for several ways of choosing them.
package struct Sweep {
    private let model: Model
    private let options: Session.Options
    private let sample: TextSample
    private let profile: Profile
    private let seed: UInt64

    /// - Parameters:
    ///   - text: its first half is profiled, for `static`; pieces of the second are what is measured.
    ///   - chunks: pieces measured.
    /// - Throws: `RuntimeError`.
    package init(
        _ model: Model, text: [UInt8], chunks: Int, context: Int, seed: UInt64 = 1, _ options: Session.Options
    ) throws(RuntimeError) {
        self.model = model
        self.seed = seed
        var options = options
        options.context = context
        self.options = options
        let half = text.count / 2
        let first = try TextSample(Array(text[..<half]), model, context: context, tokens: 8192)
        sample = try TextSample(Array(text[half...]), model, context: context, tokens: chunks * context)
        profile = try Profile(Session(model, options), first)
    }

    package var hasPredictors: Bool {
        let predictors = model.config.predictors
        return predictors.neuronRanks.contains { $0 > 0 } || predictors.gates.contains(true)
    }

    /// What the model's own thresholds give; nil without predictors.
    /// - Throws: `RuntimeError`.
    package func automatic(_ progress: (Int, Int) -> Bool) throws(RuntimeError) -> SweepPoint? {
        guard !model.config.predictors.isEmpty || model.config.predictors.screen != nil else { return nil }
        let quality = try Comparison(model, sample, options).run([.predicted()], progress: progress)[0]
        return SweepPoint(
            method: nil, keep: quality.activity.neuronShare, quality: quality,
            bytes: model.bytesRead(quality.activity, heads: true), speed: nil)
    }

    /// The model's own thresholds (`point`, measured before) with its screen of the output matrix; nil without one.
    /// - Throws: `RuntimeError`.
    package func screened(_ point: SweepPoint, _ progress: (Int, Int) -> Bool) throws(RuntimeError) -> SweepPoint? {
        guard model.weights.screen != nil else { return nil }
        var options = options
        options.sparsity = .predicted()
        options.screensHead = true
        var point = point
        point.screen = try Session(model, options).screenQuality(of: sample.chunks, progress: progress)
        guard let quality = point.screen, let bytes = point.bytes else { return nil }
        point.bytes =
            bytes - model.bytesSavedByScreen(denseShare: quality.denseShare, rowsPerToken: quality.rowsPerToken)
        point.speed = nil
        return point
    }

    /// All methods at one share.
    /// - Throws: `RuntimeError`.
    package func points(keep: Double, _ progress: (Int, Int) -> Bool) throws(RuntimeError) -> [SweepPoint] {
        let methods = SweepMethod.allCases.filter { $0 != .predictor || hasPredictors }
        let qualities = try Comparison(model, sample, options).run(
            methods.map { sparsity($0, keep) }, progress: progress)
        return zip(methods, qualities).map { method, quality in
            var bytes: Int? = nil
            switch method {
            case .oracle: break
            case .predictor: bytes = model.bytesRead(quality.activity, heads: false)
            case .static, .random: bytes = model.bytesRead(quality.activity)
            }
            return SweepPoint(method: method, keep: keep, quality: quality, bytes: bytes, speed: nil)
        }
    }

    private func sparsity(_ method: SweepMethod, _ keep: Double) -> SelectionMethod {
        let config = model.config
        let count = Int((Double(config.dFF) * keep).rounded(.up))
        let heads = [[Int32]?](repeating: nil, count: config.nLayers)
        func fixed(_ order: (Int) -> [Int]) -> SelectionMethod {
            .fixed(neurons: (0..<config.nLayers).map { order($0).prefix(count).map(Int32.init).sorted() }, heads: heads)
        }
        switch method {
        case .oracle: return .oracle(keep: keep)
        case .predictor: return .keep(keep, heads: false)
        case .static: return fixed { profile.layers[$0].busiest }
        case .random:
            return fixed { layer in
                var random = SplitMix64(state: seed &* 1000 &+ UInt64(layer))
                return (0..<config.dFF).shuffled(using: &random)
            }
        }
    }

    /// Decodes the sample's first tokens in short alternating runs, sparse and dense, so that background load
    /// affects both alike. - Returns: medians of tokens a second.
    /// - Parameter screensHead: whether the sparse session needs the argmax only.
    /// - Throws: `RuntimeError`.
    package func speed(_ way: Sparsity, screensHead: Bool = false, tokens: Int) throws(RuntimeError) -> (
        sparse: Double, dense: Double
    ) {
        var other = options
        other.sparsity = way
        other.screensHead = screensHead
        let sessions = [try Session(model, other), try Session(model, options)]
        let ids = sample.chunks[0].prefix(tokens + 8)
        var speeds: [[Double]] = [[], []]
        for session in sessions { for id in ids.prefix(8) { try session.decode(id, topK: 1) } }
        for first in stride(from: 8, to: ids.count, by: 8) {
            for (index, session) in sessions.enumerated() {
                let turn = ids[first..<min(first + 8, ids.count)]
                let start = ContinuousClock.now
                for id in turn { try session.decode(id, topK: 1) }
                let (seconds, atto) = (ContinuousClock.now - start).components
                speeds[index].append(Double(turn.count) / (Double(seconds) + Double(atto) * 1e-18))
            }
        }
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        return (median(speeds[0]), median(speeds[1]))
    }
}

extension SweepPoint {
    package func with(speed: (sparse: Double, dense: Double)) -> SweepPoint {
        var point = self
        point.speed = speed
        return point
    }
}
