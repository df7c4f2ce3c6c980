// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import Synchronization
import TinyFormats
import TinyPlatform
import TinyRuntime
import TinySupport

/// Trains predictors of neurons and heads for a model on a text, chooses thresholds, and writes a model file.
///
/// Source: Deja Vu (Liu et al., ICML 2023), with a start in closed form, and with thresholds chosen for a budget.
package final class PredictorTraining {
    let model: Model
    let options: PredictorOptions
    private let training, validation: TextSample
    let calibration: TextSample
    private let state: TrainingState
    let report: (TrainingEvent) -> Bool
    private let choosesByGates: Bool
    private var progress = TrainingProgress()
    /// Skipping 18 % of SmolLM2's neurons by their gates left decoding as fast as it was (docs/SPARSITY.md).
    private static let gatheredPrice = 1.25

    /// - Parameters:
    ///   - statePath: where finished predictors are kept until the model is written.
    ///   - report: called by one thread at a time; returning false ends the training.
    /// - Throws: `TrainingError`.
    package init(
        _ model: Model, text: [UInt8], _ options: PredictorOptions, statePath: String,
        report: @escaping (TrainingEvent) -> Bool
    ) throws(TrainingError) {
        self.model = model
        var options = options
        options.context = min(options.context, model.config.contextLength)
        options.session.context = options.context
        options.headRank = min(options.headRank, model.config.nHeads)
        self.options = options
        choosesByGates =
            (options.neurons ?? (model.config.gated && !model.config.activation.isSparse ? .gates : .predictors))
            == .gates
        guard model.config.gated || !choosesByGates else {
            throw .badOption("the model has no gates to choose neurons by; train predictors")
        }
        guard model.config.experts == nil || options.rank == 0 && options.headRank == 0 && options.screenRank != 0
        else {
            throw .badOption(
                "the router of a mixture of experts chooses its neurons, and predictors beside it are not supported; "
                    + "train a logit screen only, with ranks of 0 for neurons and heads")
        }
        guard model.config.dFF.isMultiple(of: options.group) else {
            throw .badOption(
                "groups of \(options.group) do not divide the \(model.config.dFF) neurons of a layer")
        }
        guard
            options.rank == 0 || choosesByGates || !model.config.fourBit.contains(.gate)
                || options.group.isMultiple(of: FourBitRows.blockRows)
        else {
            throw .badOption(
                "the gates have 4-bit weights, whose rows are read sixteen at a time: predict groups of sixteen neurons "
                    + "(--group 16), or convert the model with int8 weights")
        }
        self.report = report
        let sample = try ofRuntime(
            TextSample(text, model, context: options.context, tokens: options.tokens * 5 / 4))
        (training, validation, calibration) = sample.split()
        state = try ofFiles(TrainingState(path: statePath, fingerprint: Self.fingerprint(model, text, options)))
    }

    /// Trains what is not trained yet, chooses thresholds and writes the model to `path`.
    /// - Throws: `TrainingError`.
    package func run(to path: String) throws(TrainingError) -> TrainingResult {
        if !state.finished.isEmpty { try tell(.resumed(predictors: state.finished.count)) }
        try train()
        var (file, result) = try choose()
        if let screen = try trainScreen(file) {
            file.screen = screen
            result.screen = try check(screen, file)
        }
        try ofFiles(file.write(model.file, to: path))
        state.remove()
        return result
    }

    /// Thresholds for what was trained.
    private func choose() throws(TrainingError) -> (file: PredictorFile, result: TrainingResult) {
        let isScreenOnly = options.rank == 0 && options.headRank == 0 && options.screenRank != 0
        return isScreenOnly ? PredictorFile.unchanged(model) : try Calibration(self, evaluate()).run()
    }

    func tell(_ event: TrainingEvent) throws(TrainingError) {
        if !report(event) { throw .stopped }
    }

    // MARK: Training

    private struct Job {
        let key: UInt64
        let layer: Int
        let isHeads: Bool
        let rank: Int
        let data, validation: PredictorData
    }

    private static func key(_ layer: Int, heads: Bool) -> UInt64 { UInt64(2 * layer + (heads ? 1 : 0)) }

    private func isWanted(_ layer: Int, heads: Bool) -> Bool {
        heads ? options.headRank > 0 && layer > 0 : options.rank > 0 && !choosesByGates
    }

    private func isMissing(_ layer: Int) -> Bool { [false, true].contains { isMissing(layer, heads: $0) } }

    private func isMissing(_ layer: Int, heads: Bool) -> Bool {
        isWanted(layer, heads: heads) && state.finished[Self.key(layer, heads: heads)] == nil
    }

    /// What is left to do.
    private func total(_ costs: TrainingCosts, _ groups: [Range<Int>]) -> Double {
        let config = model.config
        let neurons = costs.predictor(rank: options.rank, outputs: config.dFF / options.group)
        let heads = costs.predictor(rank: options.headRank, outputs: config.nHeads)
        return groups.joined().reduce(Double(groups.count) * costs.reading) {
            $0 + (isMissing($1, heads: false) ? neurons : 0) + (isMissing($1, heads: true) ? heads : 0)
        }
    }

    private func train() throws(TrainingError) {
        let missing = (0..<model.config.nLayers).filter(isMissing)
        let groups = groups(missing, tokens: training.tokens + validation.tokens)
        let costs = TrainingCosts(model, options, tokens: training.tokens)
        progress = TrainingProgress(total: total(costs, groups))
        for group in groups {
            let data = try capture(training, group, cost: costs.reading), check = try capture(validation, group)
            var jobs: [Job] = []
            for (i, layer) in group.enumerated() {
                for heads in [false, true] where isMissing(layer, heads: heads) {
                    jobs.append(
                        Job(
                            key: Self.key(layer, heads: heads), layer: layer, isHeads: heads,
                            rank: heads ? options.headRank : options.rank,
                            data: heads ? data.heads[i]! : data.neurons[i],
                            validation: heads ? check.heads[i]! : check.neurons[i]))
                }
            }
            try run(jobs, costs)
        }
    }

    /// Neighboring layers whose captures fit in memory together.
    private func groups(_ layers: [Int], tokens: Int) -> [Range<Int>] {
        let bytes = Capture.bytesPerToken(model.config, lookahead: options.lookahead) * max(tokens, 1)
        let size = max(options.workingMemory / bytes, 1)
        var groups: [Range<Int>] = []
        for layer in layers {
            if let last = groups.last, last.upperBound == layer, last.count < size {
                groups[groups.count - 1] = last.lowerBound..<layer + 1
            } else {
                groups.append(layer..<layer + 1)
            }
        }
        return groups
    }

    /// - Parameter cost: what it counts as progress.
    private func capture(_ sample: TextSample, _ layers: Range<Int>, cost: Double = 0) throws(TrainingError) -> Capture
    {
        var isStopped = false
        let session = try ofRuntime(Session(model, options.session))
        let capture = try ofRuntime(
            Capture(
                session, sample, layers: layers, group: options.group, lookahead: options.lookahead,
                topShare: options.topShare
            ) { done, count in
                progress.add(cost / Double(count))
                isStopped =
                    !(report(.progress(progress.share)) && report(.reading(layers: layers, done: done, of: count)))
                return !isStopped
            })
        if isStopped { throw .stopped }
        return capture
    }

    /// One predictor a thread; the largest first, so that no thread is left with a large one.
    private func run(_ jobs: [Job], _ costs: TrainingCosts) throws(TrainingError) {
        let jobs = jobs.sorted { ($0.isHeads ? 1 : 0, $0.layer) < ($1.isHeads ? 1 : 0, $1.layer) }
        let threads = options.session.threads == 0 ? availableCores : options.session.threads
        let next = Atomic<Int>(0)
        let failure = Mutex<TrainingError?>(nil)
        nonisolated(unsafe) let this = self
        concurrently(min(threads, jobs.count)) { _ in
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < jobs.count, failure.withLock({ $0 == nil }) else { return }
                do throws(TrainingError) {
                    try this.train(jobs[index], costs, failure)
                } catch {
                    failure.withLock { $0 = $0 ?? error }
                }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// - Parameter failure: of any thread; while it is locked, this one alone reports and keeps what is finished.
    private func train(
        _ job: Job, _ costs: TrainingCosts, _ failure: borrowing Mutex<TrainingError?>
    ) throws(TrainingError) {
        let trainer = PredictorTrainer(
            rank: job.rank, epochs: options.epochs, seed: options.seed &* 1000 &+ job.key)
        func goesOn(_ epoch: Int, _ score: PredictorScore, _ failure: TrainingError?) -> Bool {
            let outputs = job.data.outputs
            progress.add(epoch == 0 ? costs.start(outputs: outputs) : costs.epoch(rank: job.rank, outputs: outputs))
            let event = TrainingEvent.epoch(
                layer: job.layer, heads: job.isHeads, epoch, of: options.epochs, score)
            return failure == nil && report(.progress(progress.share)) && report(event)
        }
        let weights = try ofRuntime(
            trainer.train(job.data, validation: job.validation) { epoch, score in
                failure.withLock { goesOn(epoch, score, $0) }
            })
        guard let weights else { throw .stopped }
        guard weights.isFinite else {
            throw .badOption(
                "the training of the predictor of \(job.isHeads ? "heads" : "neurons") of layer \(job.layer) did "
                    + "not converge; use more tokens or another seed")
        }
        try failure.withLock { _ throws(TrainingError) in try ofFiles(state.add(job.key, weights)) }
    }

    // MARK: The screen of the output matrix

    private static let screenKey: UInt64 = 1 << 32

    /// Of the model as it will run: what is skipped changes what the output matrix sees.
    private func trainScreen(_ file: PredictorFile) throws(TrainingError) -> TrainedScreen? {
        if options.screenRank == 0 { return nil }
        let known = state.finished[Self.screenKey]
        let sparse = try ofFiles(Model(NativeModelFile(image: file.image(model.file), verify: false)))
        let trained = try ScreenTraining(sparse, options, report: tell).run(
            training: training, heldOut: validation, resuming: known)
        if let trained, trained.weights != known { try ofFiles(state.add(Self.screenKey, trained.weights)) }
        return trained?.screen
    }

    /// The finished model's screen at work, with the predictors, on text that nothing was fitted to.
    private func check(_ screen: TrainedScreen, _ file: PredictorFile) throws(TrainingError) -> LMHeadScreenReport {
        let model = try ofFiles(Model(NativeModelFile(image: file.image(model.file), verify: false)))
        var session = options.session
        session.screensHead = true
        session.sparsity = .predicted()
        var isStopped = false
        let quality = try ofRuntime(
            Session(model, session).screenQuality(of: calibration.chunks) { done, count in
                isStopped = !report(.screening(.checking, done: done, of: count))
                return !isStopped
            })
        if isStopped { throw .stopped }
        return LMHeadScreenReport(
            config: screen.config, bytes: model.weights.screen?.bytes ?? 0, quality: quality ?? LMHeadScreenQuality())
    }

    // MARK: Evaluation

    /// Every trained predictor as the runtime will compute it, with what its thresholds would mean.
    private func evaluate() throws(TrainingError) -> Candidates {
        let config = model.config
        var candidates = Candidates(layers: config.nLayers)
        let kernels = try ofRuntime(options.session.kernelTable())
        if choosesByGates { candidates.neurons = try gates() }
        guard (0..<config.nLayers).contains(where: { isWanted($0, heads: true) || isWanted($0, heads: false) }) else {
            return candidates
        }
        for group in groups(Array(0..<config.nLayers), tokens: validation.tokens) {
            let data = try capture(validation, group)
            for layer in group {
                func candidate<C>(
                    _ heads: Bool, _ data: PredictorData?, bytes: Int, _ chooser: (QuantizedPredictor) -> C
                ) throws(TrainingError) -> Candidate<C>? {
                    guard let data, let weights = state.finished[Self.key(layer, heads: heads)] else { return nil }
                    let predictor = try ofRuntime(QuantizedPredictor(weights))
                    return Candidate(
                        chooser: chooser(predictor), cost: predictor.bytes,
                        curve: ScoreCurve(predictor, data, kernels: kernels), bytes: bytes)
                }
                let i = layer - group.lowerBound
                if !choosesByGates {
                    let bytes = config.dFF * config.dModel * (config.gated ? 3 : 2)
                    candidates.neurons[layer] = try candidate(false, data.neurons[i], bytes: bytes) { .predictor($0) }
                }
                // The query's rows, and the output's where they lie by head.
                let bytes = (config.canStoreOutputByHead ? 2 : 1) * config.dQuery * config.dModel
                candidates.heads[layer] = try candidate(true, data.heads[i], bytes: bytes) { $0 }
            }
        }
        return candidates
    }

    /// The layers' gates as choosers of neurons: the gates have to be computed, ups and downs are what is saved.
    private func gates() throws(TrainingError) -> [Candidate<NeuronChooser>?] {
        var isStopped = false
        let all = 0..<model.config.nLayers
        let study = try ofRuntime(
            GateStudy(Session(model, options.session), training) { done, count in
                isStopped = !report(.reading(layers: all, done: done, of: count))
                return !isStopped
            })
        if isStopped { throw .stopped }
        return try all.map { layer throws(TrainingError) in
            let gain = try ofRuntime(AlignedBuffer<Float>(model.config.dFF))
            gain.pointer.update(from: study.gain[layer], count: model.config.dFF)
            let chooser = NeuronChooser.gate(gain)
            return Candidate(
                chooser: chooser, cost: chooser.bytes, curve: study.curves[layer],
                bytes: 2 * model.config.dFF * model.config.dModel, price: Self.gatheredPrice)
        }
    }

    private static func fingerprint(_ model: Model, _ text: [UInt8], _ o: PredictorOptions) -> UInt64 {
        var bytes: [UInt8] = []
        let file = model.file.gguf
        if let sums = file.entry(NativeModelFile.checksumsKey) { bytes += file.file.bytes[sums.range] }
        bytes.append(integer: text.withUnsafeBytes { xxHash64($0) })
        for value in [o.rank, o.headRank, o.tokens, o.epochs, o.context, o.lookahead ? 1 : 0] {
            bytes.append(integer: value)
        }
        bytes.append(integer: o.seed)
        bytes.append(integer: o.topShare.bitPattern)
        bytes.append(integer: o.group)
        return bytes.withUnsafeBytes { xxHash64($0) }
    }
}
