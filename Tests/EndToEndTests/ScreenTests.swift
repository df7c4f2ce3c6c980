// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import TinySparse
import XCTest

/// A screened output matrix: the bits of the reference, the tokens of the whole matrix, and files with broken screens.
final class ScreenTests: XCTestCase {
    private let golden = try! GoldenModel(tiny: "tiny-llama-screen")
    private var stem: String { String(golden.path.dropLast(".gguf".count)) }

    private func session(
        _ model: Model? = nil, _ kernels: String? = nil, threads: Int = 1, screen: Bool = true,
        sparsity: Sparsity = .off
    ) throws -> Session {
        try Session(
            model ?? golden.model, .init(threads: threads, kernels: kernels, sparsity: sparsity, screensHead: screen))
    }

    /// The hash of the logits after every token.
    private func hashes(_ session: Session, topK: Int) throws -> [UInt64] {
        try golden.tokens.map { token in
            try session.decode(token, topK: topK)
            return session.logitsHash
        }
    }

    /// Ranks and margins are those of logits before a soft cap.
    func testLogitsWithASoftCap() throws {
        let golden = try GoldenModel(tiny: "tiny-gemma")
        let stem = packageFolder.path + "/Tests/EndToEndTests/Reference/fixtures/tiny-gemma"
        for count in [1, 5] {
            let wanted = try Trace(hashes: stem + ".screened\(count).hashes.txt").logits
            for kernels in kernelSets {
                let session = try Session(golden.model, .init(threads: 2, kernels: kernels, screensHead: true))
                let got = try golden.tokens.map { token in
                    try session.decode(token, topK: count)
                    return session.logitsHash
                }
                XCTAssertEqual(got, wanted, "\(kernels), \(count)")
            }
        }
    }

    func testBitsAreThoseOfTheReference() throws {
        for count in [1, 5] {
            let wanted = try Trace(hashes: stem + ".screened\(count).hashes.txt").logits
            for kernels in kernelSets {
                for threads in [1, 2, 3] {
                    let session = try session(nil, kernels, threads: threads)
                    XCTAssertEqual(try hashes(session, topK: count), wanted, "\(kernels), \(threads) threads, \(count)")
                    let activity = try XCTUnwrap(session.screenActivity)
                    XCTAssertEqual(activity.tokens, golden.tokens.count)
                    XCTAssertGreaterThan(activity.dense, 0)
                    XCTAssertLessThan(activity.dense, activity.tokens / 2)
                    XCTAssertGreaterThanOrEqual(activity.rows, (activity.tokens - activity.dense) * count)
                }
            }
            // However the text before is cut.
            for length in [1, 9, 33] {
                let session = try session(threads: 2)
                try session.evaluate(golden.tokens.prefix(length), topK: count)
                XCTAssertEqual(session.logitsHash, wanted[length - 1], "\(length) tokens")
            }
        }
    }

    func testWhoeverAsksForAllGetsAll() throws {
        for count in [0, 257, 333, 334, Int.max, -1] {
            XCTAssertEqual(try hashes(session(), topK: count), golden.golden.logits, "\(count)")
        }
        XCTAssertEqual(try hashes(session(screen: false), topK: 1), golden.golden.logits)
        assertSame(try session().trace(golden.tokens), golden.golden, "read with all logits")
        // A model without a screen.
        let other = try GoldenModel(tiny: "tiny-llama")
        let session = try Session(other.model, .init(threads: 1, screensHead: true))
        XCTAssertNil(session.screenActivity)
        try session.evaluate(other.tokens, topK: 1)
        XCTAssertEqual(session.logitsHash, other.golden.logits.last)
    }

    func testAMarginThatTakesAllIsDense() throws {
        for (rows, count) in [(333, 1), (333, 5), (400, 1), (1, 5)] {
            var screen = try XCTUnwrap(golden.model.config.predictors.screen)
            (screen.margin, screen.wideMargin, screen.rows) = (1e30, 1e30, rows)
            let session = try session(model(screen), threads: 2)
            XCTAssertEqual(try hashes(session, topK: count), golden.golden.logits)
            XCTAssertEqual(session.screenActivity?.dense, golden.tokens.count)
        }
    }

    func testTheLargestAreExactAndAboveTheRest() throws {
        let dense = try session(screen: false)
        for count in [1, 2, 5, 40, 256] {
            var screen = try XCTUnwrap(golden.model.config.predictors.screen)
            (screen.rows, screen.wideMargin) = (332, 30)
            let session = try session(model(screen), threads: 2)
            dense.rewind(to: 0)
            for token in golden.tokens {
                try session.decode(token, topK: count)
                try dense.decode(token)
                let order = session.logits.indices.sorted { session.logits[$0] > session.logits[$1] }
                for row in order.prefix(count) { XCTAssertEqual(session.logits[row], dense.logits[row]) }
                XCTAssertTrue(session.logits.allSatisfy(\.isFinite))
            }
        }
    }

    func testTextsAreThoseOfTheWholeMatrix() throws {
        var screen = try XCTUnwrap(golden.model.config.predictors.screen)
        // Wide enough that nothing is missed.
        (screen.margin, screen.wideMargin, screen.rows) = (25, 30, 300)
        let model = try model(screen)
        var several = SamplingOptions()
        several.seed = 3
        several.topK = 8
        var penalty = several
        penalty.repeatPenalty = 1.3
        penalty.repeatWindow = 20
        var lifted = several
        lifted.repeatPenalty = 0.8
        var all = several
        all.topK = 0
        for (sampling, isScreened) in [
            (.greedy, true), (several, true), (penalty, true), (lifted, false), (all, false),
        ] {
            var options = GenerationOptions()
            options.sampling = sampling
            options.maxTokens = 40
            var texts: [[Int32]] = []
            for isOn in [false, true] {
                let session = try session(model, threads: 2, screen: isOn)
                var generation = try session.generation(prompt: [5, 40, 250, 7, 33], options)
                while try generation.next() != nil {}
                texts.append(generation.generated)
                if isOn { XCTAssertEqual(session.screenActivity?.tokens ?? 0 > 0, isScreened) }
            }
            XCTAssertEqual(texts[0], texts[1])
            XCTAssertGreaterThan(texts[0].count, 10)
        }
    }

    func testAModelThatIsBrokenIsReported() throws {
        let broken = try changedModel(golden.path, "output_norm.weight") {
            $0.storeBytes(of: Float.greatestFiniteMagnitude, toByteOffset: 4, as: Float.self)
        }
        let session = try session(broken)
        XCTAssertThrowsError(try session.generation(prompt: [1, 2, 3], GenerationOptions())) {
            XCTAssertEqual($0 as? RuntimeError, .nonFiniteLogits(position: 2))
        }
    }

    func testBrokenScreensAreTypedErrors() throws {
        let good = try XCTUnwrap(golden.model.config.predictors.screen)
        func assertFails(
            _ kind: FormatError.Kind, _ item: String, without missing: String = "-",
            _ change: (inout LMHeadScreenConfig) -> Void,
            line: UInt = #line
        ) {
            var screen = good
            change(&screen)
            XCTAssertThrowsError(try model(screen, without: missing), line: line) { error in
                guard let error = error as? FormatError else { return XCTFail("\(error)", line: line) }
                XCTAssertEqual(error.kind, kind, "\(error)", line: line)
                XCTAssertTrue(error.item?.contains(item) == true, "\(error)", line: line)
                XCTAssertTrue("\(error)".contains("again"), "\(error)", line: line)
            }
        }
        XCTAssertNoThrow(try model(good))
        assertFails(.malformed, "screen_rank") { $0.rank = 0 }
        assertFails(.malformed, "screen_rank") { $0.rank = 5000 }
        assertFails(.malformed, "screen_rows") { $0.rows = 0 }
        assertFails(.malformed, "screen_margin") { $0.margin = .nan }
        assertFails(.malformed, "screen_margin") { $0.margin = -1 }
        assertFails(.malformed, "screen_wide_margin") { $0.wideMargin = .infinity }
        assertFails(.mismatch, "output_screen_a") { $0.rank = 71 }
        assertFails(.missing, "output_screen_b", without: "output_screen_b.scale") { _ in }
        for name in ["output_screen_a.scale", "output_screen_b.scale"] {
            XCTAssertThrowsError(try changedModel(golden.path, name) { $0.storeBytes(of: Float.nan, as: Float.self) }) {
                XCTAssertEqual(($0 as? FormatError)?.kind, .notFinite)
            }
        }
        // No screen where the file names none.
        XCTAssertNil(try model(nil).config.predictors.screen)
    }

    func testCommandLine() throws {
        func run(_ arguments: String...) throws -> Tool.Result { try Tool.run(Tool.tinysparse, arguments) }
        func json(_ result: Tool.Result) throws -> [String: Any] {
            XCTAssertEqual(result.code, 0, result.errors)
            return try XCTUnwrap(JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        }
        XCTAssertEqual(try run("run", "-m", golden.path, "--lm-head-screen", "maybe", "x").code, 2)
        let none = try run("run", "-m", Tool.fixture("tiny-llama.gguf"), "--lm-head-screen", "on", "x")
        XCTAssertEqual(none.code, 1)
        XCTAssert(none.errors.contains("train-predictors"), none.errors)

        let bench = [
            "bench", "-m", golden.path, "--prompt-tokens", "0", "--generate", "8", "-r", "2", "-t", "1", "--json",
        ]
        for (more, isScreened) in [
            ([], true), (["--sparsity", "off"], false), (["--lm-head-screen", "off"], false),
            (["--sparsity", "off", "--lm-head-screen", "on"], true),
        ] {
            let report = try json(Tool.run(Tool.tinysparse, bench + more))["lm_head_screen"] as? [String: Any]
            XCTAssertEqual(report?["tokens"] as? Int, isScreened ? 24 : nil, "\(more)")
        }

        let directory = TemporaryDirectory()
        let text = directory.write(Array(String(repeating: "The brown fox and the machine. ", count: 60).utf8), "text")
        let scores = ["perplexity", "-m", golden.path, "-c", "64", "--chunks", "3", "--json", text]
        let on = try json(Tool.run(Tool.tinysparse, scores)),
            off = try json(Tool.run(Tool.tinysparse, scores + ["--lm-head-screen", "off"]))
        XCTAssertEqual(on["perplexity"] as? Double, off["perplexity"] as? Double)
        XCTAssertEqual((on["lm_head_screen"] as? [String: Any])?["tokens"] as? Int, 96)
        XCTAssert(off["lm_head_screen"] is NSNull)

        let verbose = try run("run", "-m", golden.path, "--greedy", "-n", "5", "-v", "the quick")
        XCTAssert(verbose.errors.contains("logit screening: "), verbose.errors)
        XCTAssert(try run("inspect", golden.path).output.contains("rank 70"))
    }

    /// The same model with another screen, or none, and without one of the tensors.
    private func model(_ screen: LMHeadScreenConfig?, without missing: String = "-") throws -> Model {
        let file = golden.model.file
        var writer = GGUFWriter(alignment: 64)
        for entry in file.gguf.entries {
            let isOwn = entry.key == "general.alignment" || entry.key == "tinysparse.checksums"
            if !isOwn, !entry.key.hasPrefix("tinysparse.predictors.") { writer.copy(entry, from: file.gguf.file) }
        }
        if let screen {
            let key = "tinysparse.predictors.screen_"
            writer.add(key + "rank", UInt32(screen.rank))
            writer.add(key + "rows", UInt32(screen.rows))
            writer.add(key + "margin", screen.margin)
            writer.add(key + "wide_margin", screen.wideMargin)
        }
        let tensors = file.gguf.tensors.filter { $0.name != missing }
        writer.addChecksums("tinysparse.checksums", count: tensors.count)
        for tensor in tensors { writer.addTensor(tensor.name, tensor.format!, dimensions: tensor.dimensions) }
        var layout = writer.finish()
        for (index, tensor) in tensors.enumerated() {
            layout.set(checksum: xxHash64(file.gguf.bytes(of: tensor)), ofTensor: index)
        }
        let image = try MappedFile(memoryNamed: file.path, size: layout.size)
        layout.header.withUnsafeBytes { image.writable.copyMemory(from: $0) }
        for (index, tensor) in tensors.enumerated() {
            UnsafeMutableRawBufferPointer(rebasing: image.writable[layout.tensors[index]])
                .copyMemory(from: file.gguf.bytes(of: tensor))
        }
        image.seal()
        return try Model(NativeModelFile(image: image, verify: true))
    }
}
