// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import TinyTraining
import XCTest

/// Models whose weights are finite and whose logits are not.
final class NonFiniteLogitsTests: XCTestCase {
    /// A native model whose output norm is so large that no logits are finite.
    private func model(in directory: TemporaryDirectory, norm value: Float = 3e38) throws -> String {
        let original = Tool.fixture("tiny-llama.gguf")
        let norm = try XCTUnwrap(GGUF(MappedFile(path: original)).tensor("output_norm.weight")).range
        var bytes = try MappedFile(path: original).contents
        let large = [Float](repeating: value, count: norm.count / 4).withUnsafeBytes { Array($0) }
        bytes.replaceSubrange(norm, with: large)
        return directory.write(bytes, "model.gguf")
    }

    func testEveryCommandNamesThePosition() throws {
        let directory = TemporaryDirectory()
        let model = try model(in: directory)
        let text = directory.write(Array(String(repeating: "The brown fox and a hen. ", count: 400).utf8), "text")
        let out = directory.path + "/out.gguf"
        for arguments in [
            ["run", model, "-n", "2", "x"], ["verify", model, "-n", "2"],
            ["verify", model, "-n", "2", "--record", directory.path + "/record"],
            ["bench", model, "--prompt-tokens", "3", "--generate", "1", "-r", "1"],
            ["bench", model, "--prompt-tokens", "0", "--generate", "1", "-r", "1"],
            ["perplexity", model, "-c", "16", text], ["sweep", model, "-c", "16", "--chunks", "2", text],
            ["profile", model, "-c", "16", text],
            ["train-predictors", model, text, "-o", out, "--tokens", "256", "--epochs", "1"],
            [
                "train-predictors", model, text, "-o", out, "--tokens", "256", "--rank", "0", "--head-rank", "0",
                "--lm-head-screen-rank", "4",
            ],
        ] {
            let result = try Tool.run(Tool.tinysparse, arguments + ["--no-verify", "-t", "1"])
            XCTAssertEqual(result.code, 1, "\(arguments): \(result.errors)")
            XCTAssertNotNil(
                result.errors.range(
                    of: #"error: the logits at position \d+ are not finite"#, options: .regularExpression),
                "\(arguments[0]): \(result.errors)")
        }
        let scored = try Tool.run(Tool.tinysparse, ["perplexity", model, "-c", "16", "--no-verify", text])
        XCTAssert(scored.errors.contains("at position 8 "), scored.errors)
        let batch = try Tool.run(
            Tool.tinysparse, ["batch", "-m", model, "--no-verify"], input: "{\"id\": 7, \"prompt\": \"x\"}")
        XCTAssertEqual(batch.code, 0)
        XCTAssert(
            batch.output.hasPrefix("{\"id\": 7, \"line\": 1, \"error\": \"the logits at position"), batch.output)
        XCTAssertFalse(directory.contents.contains("out.gguf") || directory.contents.contains("record"))
    }

    /// Nothing was evaluated then, and nothing of a prompt that was read before is lost.
    func testTheSessionStaysAsItWas() throws {
        let directory = TemporaryDirectory()
        let session = try Session(Model(path: model(in: directory), verify: false), .init(threads: 1, blockSize: 2))
        for _ in 0..<2 {
            XCTAssertThrowsError(try session.prefill([1, 5, 6])) {
                XCTAssertEqual($0 as? RuntimeError, .nonFiniteLogits(position: 2))
            }
            XCTAssertEqual(session.tokens, [])
        }
    }

    /// Finite logits so far apart that the perplexity has no number: it was shown as exp(600).
    func testAPerplexityBeyondAllNumbersIsInfinite() throws {
        let directory = TemporaryDirectory()
        let model = try model(in: directory, norm: 1e30)
        let text = directory.write(Array(String(repeating: "The brown fox and a hen. ", count: 20).utf8), "text")
        let command = ["perplexity", model, "-c", "16", "--no-verify", text]
        let result = try Tool.run(Tool.tinysparse, command)
        XCTAssert(result.output.hasPrefix("perplexity inf "), result.output + result.errors)
        XCTAssert(try Tool.run(Tool.tinysparse, command + ["--json"]).output.contains("\"perplexity\": null"))
    }

    /// The choice of bins in training, for scores and depths that are no numbers.
    func testBinsAreTotal() {
        XCTAssertEqual(
            [-Float.infinity, -1, 0, 1.9, 6.9, 7, .infinity, .nan].map { binIndex($0, of: 8) },
            [0, 0, 0, 1, 6, 7, 7, 7])
    }
}
