// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import TinyTraining
import XCTest

/// Training a screen of the output matrix, for the model that comes with the package.
final class ScreenTrainingTests: XCTestCase {
    override func setUpWithError() throws { try TestTier.needFull() }

    private let directory = TemporaryDirectory()
    private let model = try! Model(path: packageFolder.appendingPathComponent("models/tinysparse-fairy.gguf").path)
    /// What the model itself writes, for a screen is for texts of the kind it was trained on.
    private lazy var text: [UInt8] = {
        let session = try! Session(model, .init(threads: 2))
        var options = GenerationOptions()
        (options.sampling.temperature, options.sampling.minP, options.maxTokens) = (1, 0.01, 200)
        var text = ""
        for seed in 1...40 {
            options.sampling.seed = UInt64(seed)
            session.rewind(to: 0)
            _ = try! session.generate("The", options) {
                text += $0
                return true
            }
            text += "\n"
        }
        return Array(text.utf8)
    }()

    private func train(_ name: String, threads: Int = 2, _ change: (inout PredictorOptions) -> Void = { _ in }) throws
        -> TrainingResult
    {
        var options = PredictorOptions()
        (options.rank, options.headRank, options.tokens) = (0, 0, 8000)
        options.session.threads = threads
        change(&options)
        let path = directory.path + "/" + name
        return try PredictorTraining(model, text: text, options, statePath: path + ".state") { _ in true }.run(to: path)
    }

    func testATrainedScreenFindsTheArgmax() throws {
        let result = try train("a")
        let report = try XCTUnwrap(result.screen)
        XCTAssertEqual(report.config.rank, 64)
        XCTAssertGreaterThan(report.quality.agreement, 0.98)
        XCTAssertLessThan(report.quality.denseShare, 0.02)
        XCTAssertLessThan(report.quality.rowsPerToken, 1000)
        XCTAssertEqual(directory.contents, ["a"])

        let screened = try Model(path: directory.path + "/a")
        // The predictors are those that were there, and so are the bits.
        var (kept, before) = (screened.config.predictors, model.config.predictors)
        kept.screen = nil
        before.screen = nil
        XCTAssertEqual(kept, before)
        let prompts = ["Once upon a time", "The king said to his youngest son", "In the forest"]
        for sparsity in [Sparsity.off, .predicted()] {
            for prompt in prompts {
                var texts: [String] = []
                for (model, isOn) in [(model, false), (screened, false), (screened, true)] {
                    let session = try Session(model, .init(threads: 2, sparsity: sparsity, screensHead: isOn))
                    var options = GenerationOptions()
                    options.sampling = .greedy
                    options.maxTokens = 60
                    var text = ""
                    try session.generate(prompt, options) {
                        text += $0
                        return true
                    }
                    texts.append(text)
                    if isOn { XCTAssertGreaterThan(session.screenActivity?.rows ?? 0, 0) }
                }
                XCTAssertEqual(texts[1], texts[0])
                XCTAssertEqual(texts[2], texts[0], prompt)
            }
        }
    }

    func testThreadsDoNotMatterAndNoneIsTrainedWhereNoneIsWanted() throws {
        _ = try train("a", threads: 1)
        _ = try train("b", threads: 3)
        let a = try Data(contentsOf: URL(fileURLWithPath: directory.path + "/a"))
        XCTAssertEqual(a, try Data(contentsOf: URL(fileURLWithPath: directory.path + "/b")))
        let result = try train("c") { ($0.screenRank, $0.headRank, $0.tokens, $0.epochs) = (0, 4, 600, 0) }
        XCTAssertNil(result.screen)
        XCTAssertNil(try Model(path: directory.path + "/c").config.predictors.screen)
    }

    func testAnInterruptedTrainingGoesOn() throws {
        var options = PredictorOptions()
        (options.rank, options.headRank, options.tokens) = (0, 0, 3000)
        let path = directory.path + "/a"
        // Stopped at the very end, when the matrices are known.
        XCTAssertThrowsError(
            try PredictorTraining(model, text: text, options, statePath: path + ".state") { event in
                if case .screening(.checking, _, _) = event { false } else { true }
            }.run(to: path)
        ) { XCTAssertEqual($0 as? TrainingError, .stopped) }
        XCTAssertEqual(directory.contents, ["a.state"])
        var steps: Set<ScreenStep> = []
        let collector = Steps()
        _ = try PredictorTraining(model, text: text, options, statePath: path + ".state") { event in
            if case .screening(let step, _, _) = event { collector.steps.insert(step) }
            return true
        }.run(to: path)
        steps = collector.steps
        XCTAssertEqual(steps, [.measuring, .checking])
        XCTAssertEqual(directory.contents, ["a"])
    }
}

private final class Steps: @unchecked Sendable {
    var steps: Set<ScreenStep> = []
}
