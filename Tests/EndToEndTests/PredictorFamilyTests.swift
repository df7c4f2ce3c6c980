// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import TinyTraining
import XCTest

/// Training on models of every shape: gated or not, every activation, parallel halves, sub-norms, projected embeddings.
final class PredictorFamilyTests: XCTestCase {
    private let directory = TemporaryDirectory()

    private func options() -> PredictorOptions {
        var options = PredictorOptions()
        options.rank = 24
        options.headRank = 3
        options.screenRank = 16
        options.tokens = 800
        options.epochs = 1
        options.mustPay = false
        options.budget = 5
        options.session.threads = 2
        return options
    }

    private func train(
        _ golden: GoldenModel, _ options: PredictorOptions, report: @escaping (TrainingEvent) -> Bool = { _ in true }
    ) throws -> (TrainingResult, Model) {
        let path = directory.path + "/\(golden.name)"
        return (try golden.train(options, to: path, report: report), try Model(path: path))
    }

    /// The file opens, dense it is the model it was, sparse it skips neurons the same way whatever the kernels and blocks.
    func testEverySparseFamilyTrains() throws {
        try TestTier.needFull()
        for name in [
            "tiny-llama-relu", "tiny-bitnet", "tiny-bamboo", "tiny-fatrelu", "tiny-parallel-two",
            "tiny-powerinfer-falcon",
            "tiny-opt-350m", "tiny-dejavu",
        ] {
            let golden = try GoldenModel(tiny: name)
            let (result, model) = try train(golden, options())
            let reports = result.neurons.compactMap { $0 }
            XCTAssertFalse(reports.isEmpty, name)
            for report in reports { XCTAssertGreaterThanOrEqual(report.recall, 0.95, name) }
            XCTAssertLessThan(result.quality.activity.neuronShare, 1, name)
            XCTAssertEqual(result.screen?.config.rank, 16, name)
            XCTAssertFalse(model.config.predictors.gates.contains(true), name)
            try check(model, golden)
        }
    }

    /// Without ReLU the gates choose: with soft caps, windows and norms of every kind.
    func testFamiliesWithoutReLUUseTheirGates() throws {
        try TestTier.needFull()
        for name in ["tiny-gemma", "tiny-olmo", "tiny-longrope"] {
            let golden = try GoldenModel(tiny: name)
            let (result, model) = try train(golden, options())
            XCTAssertTrue(result.neurons.contains { $0 != nil }, name)
            XCTAssertTrue(model.config.predictors.gates.contains(true), name)
            try check(model, golden)
        }
    }

    private func check(_ model: Model, _ golden: GoldenModel) throws {
        assertSame(try Session(model, .init(threads: 1)).trace(golden.tokens), golden.golden, golden.name)
        var traces: [Trace] = []
        for (kernels, block) in [(kernelSets[0], 1), ("scalar", 7), (kernelSets[0], 64)] {
            let session = try Session(
                model, .init(threads: 2, blockSize: block, kernels: kernels, sparsity: .predicted()))
            traces.append(try session.trace(golden.tokens))
            XCTAssertLessThan(session.activity.neuronShare, 1, golden.name)
        }
        for trace in traces { assertSame(trace, traces[0], golden.name) }
    }

    /// Experts have no predictors; a screen of the output matrix they can have.
    func testMixturesOfExpertsAreRefused() throws {
        let golden = try GoldenModel(tiny: "tiny-experts")
        XCTAssertThrowsError(try train(golden, options())) {
            XCTAssertTrue("\($0)".contains("mixture of experts"), "\($0)")
        }
        var screenOnly = options()
        (screenOnly.rank, screenOnly.headRank) = (0, 0)
        let (result, model) = try train(golden, screenOnly)
        XCTAssertEqual(result.screen?.config.rank, 16)
        assertSame(try Session(model, .init(threads: 1)).trace(golden.tokens), golden.golden, golden.name)
        let sample = try TextSample(trainingText, golden.model, context: 64, tokens: 128)
        XCTAssertThrowsError(try Profile(Session(golden.model, .init()), sample))
    }

    /// Little memory means more passes over the text and fewer sessions at a time, and the same file.
    func testMemoryChangesNoResult() throws {
        try TestTier.needFull()
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        var files: [Data] = [], readings: [Int] = []
        for memory in [1, 1 << 28] {
            var options = options()
            options.memory = memory
            let count = Box(0)
            _ = try train(golden, options) { event in
                if case .reading(let layers, 1, _) = event, !layers.isEmpty { count.value += 1 }
                return true
            }
            files.append(try Data(contentsOf: URL(fileURLWithPath: directory.path + "/" + golden.name)))
            readings.append(count.value)
        }
        XCTAssertEqual(files[0], files[1])
        XCTAssertGreaterThan(readings[0], readings[1])
    }

    /// Also where it was a tokenizer.json.
    func testTheTokenizerIsKept() throws {
        let families = packageFolder.path + "/Tests/EndToEndTests/Families/", folder = directory.path + "/folder"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["llama-sparse-relu/config.json", "llama-sparse-relu/model.safetensors", "tokenizer.json"] {
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/" + name.split(separator: "/").last!, withDestinationPath: families + name)
        }
        let model = try Model(path: folder), path = directory.path + "/trained.gguf"
        let training = try PredictorTraining(model, text: trainingText, options(), statePath: path + ".state") { _ in
            true
        }
        _ = try training.run(to: path)
        let words = Array("Two models, one tokenizer.".utf8)
        XCTAssertEqual(
            try Model(path: path).tokenizer.encode(words, addSpecial: true),
            model.tokenizer.encode(words, addSpecial: true))
    }

    /// What rounding made indefinite is factorized with more on the diagonal, and not into NaN.
    func testFactorsOfAMatrixThatIsNotQuiteDefinite() {
        func lower(_ offDiagonal: Float) -> [Float] {
            var matrix: [Float] = [4, offDiagonal, offDiagonal, 1]
            matrix.withUnsafeMutableBufferPointer {
                MatrixMath.cholesky($0.baseAddress!, 2, stride: 2, ridge: 1e-3)
            }
            return [matrix[0], matrix[2], matrix[3]]
        }
        XCTAssertEqual(lower(0), [2, 0, 1])
        XCTAssertEqual(lower(1), [2, 0.5, Float(0.75).squareRoot()])
        // 2.01 squared is more than 4 times 1.
        let some = lower(2.01)
        XCTAssertTrue(some.allSatisfy { $0.isFinite })
        XCTAssertEqual(some[0] * some[0], 4, accuracy: 0.11)
        XCTAssertEqual(some[0] * some[1], 2.01, accuracy: 1e-5)
        XCTAssertEqual(some[1] * some[1] + some[2] * some[2], 1, accuracy: 0.11)
    }

    func testProgressGrowsToTheEnd() throws {
        let golden = try GoldenModel(tiny: "tiny-opt-350m")
        let shares = Box([Double]())
        _ = try train(golden, options()) { event in
            if case .progress(let share) = event { shares.value.append(share) }
            return true
        }
        XCTAssertEqual(shares.value, shares.value.sorted())
        XCTAssertEqual(shares.value.last ?? 0, 1, accuracy: 1e-9)
        XCTAssertGreaterThan(Set(shares.value).count, 4)
    }
}

private final class Box<Value>: @unchecked Sendable {
    var value: Value
    init(_ value: Value) { self.value = value }
}
