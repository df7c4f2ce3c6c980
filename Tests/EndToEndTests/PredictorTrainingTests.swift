// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import TinySparse
import TinyTraining
import XCTest

/// Training predictors for a tiny model whose weights are random: with the full rank, what fires can be told exactly.
final class PredictorTrainingTests: XCTestCase {
    override func setUpWithError() throws { try TestTier.needFull() }

    private let golden = try! GoldenModel(tiny: "tiny-opt")
    private let directory = TemporaryDirectory()

    private func options(threads: Int = 2, _ change: (inout PredictorOptions) -> Void = { _ in }) -> PredictorOptions {
        var options = PredictorOptions()
        options.rank = 64
        options.headRank = 4
        options.tokens = 2000
        options.epochs = 2
        // Rows are padded to 64 bytes, so that no predictor of so small a model saves anything.
        options.mustPay = false
        options.budget = 0.5
        options.session.threads = threads
        change(&options)
        return options
    }

    @discardableResult
    private func train(
        _ name: String, _ options: PredictorOptions, report: @escaping (TrainingEvent) -> Bool = { _ in true }
    ) throws -> TrainingResult {
        try golden.train(options, to: directory.path + "/" + name, report: report)
    }

    private func bytes(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: directory.path + "/" + name))
    }

    func testATrainedModelFindsWhatFiresAndKeepsTheBudget() throws {
        let result = try train("model.gguf", options())
        XCTAssertLessThanOrEqual(result.quality.perplexityIncrease, 0.5)
        XCTAssertEqual(directory.contents, ["model.gguf"])
        for case let report? in result.neurons {
            XCTAssertGreaterThanOrEqual(report.recall, 0.95)
            XCTAssertGreaterThan(report.precision, 0.8)
            XCTAssertLessThan(report.kept, 0.7)
        }
        XCTAssertTrue(result.neurons.contains { $0 != nil })

        // The file holds the same model: dense, its bits are the golden ones; sparse, they depend on nothing.
        let model = try Model(path: directory.path + "/model.gguf")
        var traces: [Trace] = []
        for (kernels, threads, block) in [(kernelSets[0], 1, 1), (kernelSets[0], 2, 7), ("scalar", 3, 64)] {
            let dense = try Session(model, .init(threads: threads, blockSize: block, kernels: kernels))
            assertSame(try dense.trace(golden.tokens), golden.golden, kernels)
            let sparse = try Session(
                model, .init(threads: threads, blockSize: block, kernels: kernels, sparsity: .predicted()))
            traces.append(try sparse.trace(golden.tokens))
            XCTAssertLessThan(sparse.activity.neuronShare, 0.8)
        }
        for trace in traces { assertSame(trace, traces[0], "predicted") }
        XCTAssertNotEqual(traces[0], golden.golden)
    }

    func testGroupsOfNeuronsShareAScore() throws {
        let result = try train("model.gguf", options { $0.group = 4 })
        XCTAssertTrue(result.neurons.contains { $0 != nil })
        for case let report? in result.neurons {
            XCTAssertGreaterThanOrEqual(report.recall, 0.95)
            // Most groups have neurons that fire beside ones that do not.
            XCTAssertGreaterThan(report.precision, 0.4)
            XCTAssertLessThan(report.precision, 0.8)
        }
        let model = try Model(path: directory.path + "/model.gguf")
        XCTAssertEqual(model.config.predictors.neuronGroup, 4)
        assertSame(try Session(model, .init()).trace(golden.tokens), golden.golden, "dense")
        XCTAssertThrowsError(try train("other.gguf", options { $0.group = 5 }))
    }

    func testTheSeedDecidesAndThreadsDoNot() throws {
        try train("a", options(threads: 1) { $0.epochs = 1 })
        try train("b", options(threads: 3) { $0.epochs = 1 })
        try train(
            "c",
            options {
                $0.epochs = 1; $0.seed = 2
            })
        XCTAssertEqual(try bytes("a"), try bytes("b"))
        XCTAssertNotEqual(try bytes("a"), try bytes("c"))
    }

    func testAnInterruptedTrainingGoesOnWhereItStopped() throws {
        let settings = options(threads: 1) { $0.epochs = 1 }
        try train("whole", settings)
        let finished = Counter()
        XCTAssertThrowsError(
            try train("parts", settings) { event in
                if case .epoch(_, _, 1, _, _) = event { finished.value += 1 }
                return finished.value < 2
            }
        ) { XCTAssertEqual($0 as? TrainingError, .stopped) }
        XCTAssertEqual(directory.contents, ["parts.state", "whole"])

        // A record cut short by a crash does not count; what is before it does.
        let path = directory.path + "/parts.state"
        let state = try bytes("parts.state")
        try (state + Data([1, 2, 3])).write(to: URL(fileURLWithPath: path))
        let trained = Counter(), resumed = Counter()
        try train("parts", settings) { event in
            if case .resumed(let count) = event { resumed.value = count }
            if case .epoch(_, _, 0, _, _) = event { trained.value += 1 }
            return true
        }
        XCTAssertEqual(resumed.value, 1)
        XCTAssertEqual(trained.value, 2)
        XCTAssertEqual(try bytes("parts"), try bytes("whole"))
        XCTAssertEqual(directory.contents, ["parts", "whole"])
    }

    func testOtherOptionsDoNotTakeUpAnOldTraining() throws {
        XCTAssertThrowsError(
            try train("model", options { $0.epochs = 1 }) { event in
                if case .calibrating = event { false } else { true }
            })
        let resumed = Counter()
        try train(
            "model",
            options {
                $0.epochs = 1; $0.rank = 8
            }
        ) { event in
            if case .resumed = event { resumed.value += 1 }
            return true
        }
        XCTAssertEqual(resumed.value, 0)
        XCTAssertThrowsError(
            try PredictorTraining(
                golden.model, text: Array("no".utf8), options(), statePath: directory.path + "/x.state"
            ) { _ in true })
    }

    func testTheOracleIsBestAndAllOfEverythingIsDense() throws {
        try train(
            "model.gguf",
            options {
                $0.epochs = 1; $0.headRank = 0
            })
        let model = try Model(path: directory.path + "/model.gguf")
        let sweep = try Sweep(model, text: trainingText, chunks: 8, context: 64, .init(threads: 2))
        var kl: [SweepMethod: Double] = [:]
        for point in try sweep.points(keep: 0.4, { _, _ in true }) { kl[point.method!] = point.quality.kl }
        XCTAssertLessThan(kl[.oracle]!, kl[.predictor]!)
        XCTAssertLessThan(kl[.predictor]!, kl[.static]!)
        XCTAssertLessThan(kl[.predictor]!, kl[.random]!)
        for point in try sweep.points(keep: 1, { _, _ in true }) {
            XCTAssertEqual(point.quality.perplexity, point.quality.densePerplexity, "\(point.method!)")
            XCTAssertEqual(point.quality.agreement, 1)
        }
        let automatic = try XCTUnwrap(try sweep.automatic { _, _ in true })
        XCTAssertLessThan(automatic.quality.activity.neuronShare, 0.8)
    }

    func testAProfileCountsWhatFires() throws {
        let session = try golden.session()
        let sample = try TextSample(trainingText, golden.model, context: 64, tokens: 640)
        let profile = try Profile(session, sample)
        XCTAssertEqual(profile.tokens, sample.tokens)
        XCTAssertEqual(profile.layers.count, golden.model.config.nLayers)
        for layer in profile.layers {
            let fired = Double(layer.uses.reduce(0, +)) / Double(profile.tokens * golden.model.config.dFF)
            XCTAssertEqual(layer.zeros + fired, 1, accuracy: 1e-9)
            XCTAssertLessThanOrEqual(layer.for90, layer.for99)
            XCTAssertLessThanOrEqual(layer.for99, fired + 1e-9)
            XCTAssertGreaterThan(layer.overlap, 0)
            XCTAssertEqual(layer.heads.count, golden.model.config.nHeads)
            XCTAssertTrue(layer.heads.allSatisfy { $0 > 0 })
        }
    }
}

/// A number that a closure may change.
private final class Counter: @unchecked Sendable {
    var value = 0
}
