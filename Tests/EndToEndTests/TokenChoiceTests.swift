// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// How likely chosen tokens were, and what else was.
final class TokenChoiceTests: XCTestCase {
    private func model() throws -> Model {
        try Model(path: packageFolder.path + "/Tests/EndToEndTests/Reference/fixtures/tiny-llama.gguf")
    }

    private func options(_ count: Int?, temperature: Float = 0.9) -> GenerationOptions {
        var options = GenerationOptions()
        options.maxTokens = 12
        options.sampling.temperature = temperature
        options.sampling.seed = 3
        options.logProbabilities = count
        return options
    }

    /// Every logarithm is that of the softmax of the logits, in Double and by Foundation's functions.
    func testTheyAreTheSoftmaxOfTheLogits() throws {
        let session = try Session(try model(), Session.Options(threads: 1))
        var options = options(4)
        options.sampling.repeatPenalty = 1.3
        var generation = try session.generation(prompt: session.model.tokenizer.encode("Once"), options)
        var count = 0
        while try generation.next() != nil {
            guard generation.generated.count > count else { continue }
            count += 1
            let choice = try XCTUnwrap(generation.choice)
            let logits = session.logits.map { Double($0) }
            let largest = logits.max()!
            let normalizer = largest + log(logits.reduce(0) { $0 + exp($1 - largest) })
            XCTAssertEqual(choice.chosen.id, generation.generated.last)
            for candidate in choice.mostLikely + [choice.chosen] {
                XCTAssertEqual(
                    Double(candidate.logProbability), logits[Int(candidate.id)] - normalizer, accuracy: 1e-5)
            }
            let best = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(4)
            XCTAssertEqual(choice.mostLikely.map { Int($0.id) }, Array(best))
        }
        XCTAssertEqual(count, 12)
    }

    /// A batch says the same, also of a constrained text, and no text changes by being asked.
    func testABatchSaysTheSame() throws {
        let model = try model()
        let prompt = model.tokenizer.encode("Once")
        var constrained = options(2)
        constrained.constraint = try .regularExpression("[a-z ]{30}")
        for options in [options(0), options(3, temperature: 0), constrained] {
            var generation = try Session(model, Session.Options(threads: 1)).generation(prompt: prompt, options)
            var alone: [TokenChoice] = [], text = ""
            while let piece = try generation.next() {
                text += piece
                if let choice = generation.choice, generation.generated.count > alone.count { alone.append(choice) }
            }
            XCTAssertEqual(alone.map { $0.chosen.id }, generation.generated)

            let batch = try Batch(model, places: 3, Session.Options(threads: 2))
            var silent = options
            silent.logProbabilities = nil
            try batch.add(prompt, options)
            try batch.add(prompt, silent)
            var texts = ["", ""], choices: [[TokenChoice]] = [[], []]
            while !batch.isIdle {
                for output in batch.step() {
                    texts[output.id] += output.text
                    if let choice = output.choice { choices[output.id].append(choice) }
                }
            }
            XCTAssertEqual(texts, [text, text])
            XCTAssertEqual(choices, [alone, []])
        }
    }

    func testTheCountHasToBePossible() throws {
        let model = try model()
        XCTAssertThrowsError(try Batch(model, places: 1).add([5], options(-1))) {
            XCTAssertEqual($0 as? RuntimeError, .badOption("the probabilities of -1 tokens cannot be given"))
        }
        let batch = try Batch(model, places: 1)
        try batch.add([5], options(Int.max))
        let first = try XCTUnwrap(batch.step().first?.choice)
        XCTAssertEqual(first.mostLikely.count, model.config.vocabularySize)
        XCTAssertEqual(first.mostLikely.reduce(0) { $0 + exp(Double($1.logProbability)) }, 1, accuracy: 1e-5)
    }

    /// What a batch had not to read of a prompt again.
    func testSharedTokens() throws {
        let batch = try Batch(try model(), places: 2)
        var shared: [Int] = []
        for _ in 0..<2 {
            try batch.add([5, 6, 7, 8, 9], options(nil))
            while !batch.isIdle { shared += batch.step().filter { $0.isLast }.map { $0.sharedTokens } }
        }
        XCTAssertEqual(shared, [0, 4])
    }
}
