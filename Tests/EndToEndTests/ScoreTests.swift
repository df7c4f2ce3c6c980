// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// Log-probabilities of given continuations.
final class ScoreTests: XCTestCase {
    /// Of logits in Foundation's arithmetic.
    private func logProbability(_ logits: some Collection<Float>, _ token: Int32) -> Double {
        let largest = logits.max()!
        let total = logits.reduce(0.0) { $0 + exp(Double($1 - largest)) }
        return Double(Array(logits)[Int(token)] - largest) - log(total)
    }

    private func open(
        _ golden: GoldenModel, threads: Int = 1, block: Int = 128, kernels: String? = nil, sparsity: Sparsity = .off
    ) throws -> Session {
        try Session(
            golden.model, .init(threads: threads, blockSize: block, kernels: kernels, sparsity: sparsity))
    }

    private func score(
        _ session: Session, _ continuation: [Int32], _ prompt: [Int32], dense: Bool = true
    ) throws -> ContinuationScore {
        try XCTUnwrap(session.scores(of: [continuation], after: prompt, densePrompt: dense)?.first)
    }

    /// The golden files have the logits of the first, the second and the last position, computed in numpy.
    func testAgreesWithTheReference() throws {
        for name in ["tiny-llama", "tiny-opt", "tiny-gemma", "tiny-bitnet"] {
            let golden = try GoldenModel(tiny: name)
            let vocabulary = golden.model.config.vocabularySize
            let data = try Data(contentsOf: URL(fileURLWithPath: Tool.fixture(name + ".dense.logits.f32")))
            let logits = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
            XCTAssertEqual(logits.count, 3 * vocabulary)
            let rows = (0..<3).map { logits[$0 * vocabulary..<($0 + 1) * vocabulary] }
            let session = try open(golden)
            let two = Array(golden.tokens[1...2])
            let expected = logProbability(rows[0], two[0]) + logProbability(rows[1], two[1])
            XCTAssertEqual(try score(session, two, [golden.tokens[0]]).logProbability, expected, accuracy: 1e-6, name)
            let greedy = Int32(rows[2].firstIndex(of: rows[2].max()!)! - rows[2].startIndex)
            for token in [greedy, (greedy + 1) % Int32(vocabulary)] {
                let last = try score(session, [token], golden.tokens)
                XCTAssertEqual(last.logProbability, logProbability(rows[2], token), accuracy: 1e-6, name)
                XCTAssertEqual(last.isGreedy, token == greedy)
                XCTAssertEqual(last.tokens, 1)
            }
        }
    }

    func testAgreesWithPerplexity() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let session = try open(golden)
        let text = "Once upon a time there was a little house in the woods, and nobody lived in it."
        var ids = golden.model.tokenizer.encode(text)
        let context = ids.count / 2 * 2
        ids = Array(ids.prefix(context))
        let perplexity = try session.perplexity(of: text, context: context, chunks: 1)
        if golden.model.tokenizer.addsBOS { ids[0] = golden.model.tokenizer.bos! }
        let rest = try score(session, Array(ids[(context / 2 + 1)...]), Array(ids[...(context / 2)]))
        XCTAssertEqual(rest.tokens, perplexity.tokens)
        XCTAssertEqual(-rest.logProbability, perplexity.mean * Double(perplexity.tokens), accuracy: 1e-12)
    }

    /// Neither threads, blocks and kernels nor what was read before change a bit.
    func testDependsOnNothingElse() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let prompt = Array(golden.tokens.prefix(9)), rest = Array(golden.tokens.dropFirst(9).prefix(12))
        let continuations = [rest, Array(rest.prefix(1)), Array(rest.reversed()), rest]
        let session = try open(golden)
        let expected = try XCTUnwrap(session.scores(of: continuations, after: prompt))
        XCTAssertEqual(expected[0], expected[3])
        XCTAssertEqual(session.tokens, prompt)
        for (threads, block, kernels) in [(2, 128, nil), (1, 1, nil), (2, 3, nil), (1, 5, "scalar")] {
            let other = try open(golden, threads: threads, block: block, kernels: kernels)
            _ = try other.scores(of: [prompt], after: rest)
            XCTAssertEqual(try other.scores(of: continuations, after: prompt), expected)
            // The whole prompt is known, and a longer one.
            XCTAssertEqual(try other.scores(of: continuations, after: prompt), expected)
            _ = try other.scores(of: [rest], after: prompt + rest)
            XCTAssertEqual(try other.scores(of: continuations, after: prompt), expected)
        }
    }

    /// Prompts are read with all neurons, or as decoding does; continuations as decoding does.
    func testSparsity() throws {
        let golden = try GoldenModel(tiny: "tiny-dejavu")
        let prompt = Array(golden.tokens.prefix(9)), rest = Array(golden.tokens.dropFirst(9).prefix(8))
        func decoded(dense: Bool) throws -> Double {
            let session = try open(golden, sparsity: .predicted())
            if dense { try session.prefill(prompt) } else { for id in prompt { try session.decode(id) } }
            var sum = 0.0
            for id in rest {
                sum += logProbability(session.logits, id)
                try session.decode(id)
            }
            return sum
        }
        let session = try open(golden, threads: 2, block: 3, sparsity: .predicted())
        let off = try score(open(golden), rest, prompt).logProbability
        // Alternately, so that each finds what the other has read.
        for _ in 0..<2 {
            for dense in [true, false] {
                let sum = try score(session, rest, prompt, dense: dense).logProbability
                XCTAssertEqual(sum, try decoded(dense: dense), accuracy: 1e-6)
                XCTAssertNotEqual(sum, off)
            }
        }
    }

    func testErrors() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let session = try Session(golden.model, .init(threads: 1, context: 8))
        let ids = Array(golden.tokens.prefix(9))
        XCTAssertEqual(try session.scores(of: [], after: ids.dropLast()), [])
        func fails(_ error: RuntimeError, _ continuations: [[Int32]], _ prompt: [Int32]) {
            XCTAssertThrowsError(try session.scores(of: continuations, after: prompt)) {
                XCTAssertEqual($0 as? RuntimeError, error)
            }
        }
        fails(.emptyInput("there is no token before the continuations"), [ids], [])
        fails(.emptyInput("continuation 1 has no tokens"), [[1], []], [1])
        fails(.contextFull(limit: 8), [[1], ids], [1])
        fails(.contextFull(limit: 8), [[1]], ids)
        let vocabulary = golden.model.config.vocabularySize
        fails(.tokenOutOfRange(-1, vocabularySize: vocabulary), [[-1]], [1])
        fails(.tokenOutOfRange(.max, vocabularySize: vocabulary), [[1]], [.max])
        // What fits to the last token, and being ended.
        XCTAssertEqual(try session.scores(of: [Array(ids.dropFirst())], after: [ids[0]])?.first?.tokens, 8)
        XCTAssertNil(try session.scores(of: [[1]], after: [2], while: { false }))
    }

    /// Where a continuation begins.
    func testTheSeam() throws {
        let tokenizer = try Model(path: Tool.fixture("tiny-llama.gguf")).tokenizer
        for (prompt, continuation) in [("Once upon", " a time"), ("Once upon ", "a time"), ("", "Once"), (" ", "Once")]
        {
            let split = tokenizer.continuation(continuation, of: prompt)
            let both = tokenizer.encode(prompt + continuation)
            // Without a text before it, a token for the beginning is put there.
            let beginsEmpty = prompt.allSatisfy { $0 == " " }
            if !split.isMerged {
                XCTAssertEqual((split.prompt + split.continuation).suffix(both.count), both[...], prompt)
            }
            XCTAssertEqual(split.prompt.count + split.continuation.count, both.count + (beginsEmpty ? 1 : 0))
            XCTAssertFalse(split.continuation.isEmpty)
        }
        XCTAssertEqual(
            tokenizer.continuation("a time", of: "Once upon "), tokenizer.continuation(" a time", of: "Once upon"))
        let merged = ContinuationTokens(prompt: [1, 2], both: [1, 5, 6])
        XCTAssertEqual(merged.continuation, [6])
        XCTAssertTrue(merged.isMerged)
        XCTAssertEqual(ContinuationTokens(prompt: [1, 2], both: [5]).continuation, [])
        XCTAssertFalse(ContinuationTokens(prompt: [1, 2], both: [1, 2, 3]).isMerged)
    }
}

/// `tinysparse score`.
final class ScoreCommandTests: CommandLineTestCase {
    private let command = ["score", "-m", model, "-t", "1"]

    private func score(_ lines: [String], _ options: [String] = []) throws -> (Outcome, [[String: Any]]) {
        let outcome = try tinysparse(command + options, input: Data(lines.joined(separator: "\n").utf8))
        let answers = try outcome.output.split(separator: "\n").map {
            try XCTUnwrap(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        return (outcome, answers)
    }

    func testAnswers() throws {
        let (outcome, answers) = try score([
            #"{"id": "a", "prompt": "Once upon", "continuations": [" a time", " é", " a"]}"#, "",
            #"{"prompt": "Once upon ", "continuations": ["a time"]}"#,
        ])
        XCTAssertEqual(outcome.status, 0, outcome.errors)
        XCTAssertEqual(answers.count, 2)
        XCTAssertEqual(answers[0]["id"] as? String, "a")
        XCTAssertEqual(answers[1]["id"] as? Int, 3)
        let list = try XCTUnwrap(answers[0]["continuations"] as? [[String: Any]])
        XCTAssertEqual(list.map { $0["bytes"] as? Int }, [7, 3, 2])
        XCTAssertEqual(list.map { $0["characters"] as? Int }, [7, 2, 2])
        let sums = list.compactMap { $0["logprob"] as? Double }
        XCTAssertEqual(answers[0]["best"] as? Int, sums.firstIndex(of: sums.max()!))
        let perByte = zip(sums, [7.0, 3, 2]).map { $0 / $1 }
        XCTAssertEqual(answers[0]["best_per_byte"] as? Int, perByte.firstIndex(of: perByte.max()!))
        let model = try Model(path: Self.model)
        for (sum, text) in zip(sums, [" a time", " é", " a"]) {
            let split = model.tokenizer.continuation(text, of: "Once upon")
            let expected = try Session(model).scores(of: [split.continuation], after: split.prompt)
            let exact = try XCTUnwrap(expected?.first?.logProbability)
            // Foundation's reading of a number may be off by its last bits.
            XCTAssertEqual(sum, exact, accuracy: 1e-12)
            XCTAssert(outcome.output.contains("\"logprob\": \(exact),"), outcome.output)
            XCTAssertEqual(answers[0]["prompt_tokens"] as? Int, split.prompt.count)
        }
        let moved = (answers[1]["continuations"] as? [[String: Any]])?.first?["logprob"] as? Double
        XCTAssertEqual(moved, sums[0])
    }

    func testMessages() throws {
        let messages = #""messages": [{"role": "user", "content": "Once upon"}], "continuations": [" a time"]"#
        let (_, answers) = try score(
            ["{\(messages)}", #"{"prompt": "Once upon", "continuations": [" a time"]}"#], ["--template", "plain"])
        let sums = answers.compactMap { ($0["continuations"] as? [[String: Any]])?.first?["logprob"] as? Double }
        XCTAssertEqual(sums.count, 2)
        XCTAssertEqual(sums[0], sums[1])
        let without = try score(["{\(messages)}"])
        XCTAssertEqual(without.0.status, 1)
        XCTAssert(without.0.output.contains("no chat template; choose a --template"), without.0.output)
    }

    func testOneBadLineCostsOneError() throws {
        let long = String(repeating: "long ", count: 500)
        let bad = [
            ("{oops", "JSON: "), ("[]", "is no JSON object"), ("{}", "the continuations are missing"),
            (#"{"continuations": ["x"]}"#, "the prompt is missing"),
            (#"{"prompt": 5, "continuations": ["x"]}"#, "prompt: a string is needed"),
            (#"{"prompt": "x", "continuations": []}"#, "continuations: a list of texts is needed"),
            (#"{"prompt": "x", "continuations": "y"}"#, "continuations: a list of texts is needed"),
            (#"{"prompt": "x", "continuations": ["y", ""]}"#, "continuations[1]: a text of at least"),
            (#"{"prompt": "x", "continuations": [null]}"#, "continuations[0]: a text of at least"),
            (#"{"prompt": "x", "continuation": ["y"], "continuations": ["y"]}"#, #"unknown member "continuation""#),
            (#"{"prompt": "x", "messages": [], "continuations": ["y"]}"#, "cannot be combined"),
            (#"{"prompt": "\#(long)", "continuations": ["y"]}"#, "the context of "),
            (#"{"prompt": "x", "continuations": ["\#(long)"]}"#, "the context of "),
        ]
        let good = #"{"prompt": "Once", "continuations": [" upon"]}"#
        let (outcome, answers) = try score(bad.map { $0.0 } + [good])
        XCTAssertEqual(outcome.status, 1)
        XCTAssert(outcome.errors.contains("13 of 14 lines could not be scored"), outcome.errors)
        XCTAssertEqual(answers.count, bad.count + 1)
        for (index, (answer, (line, error))) in zip(answers, bad).enumerated() {
            XCTAssertEqual(answer["line"] as? Int, index + 1)
            XCTAssert((answer["error"] as? String)?.contains(error) == true, "\(line): \(answer)")
        }
        XCTAssertNotNil(answers.last?["best"])
    }

    func testFilesAndResuming() throws {
        let directory = TemporaryDirectory()
        let lines = (0..<4).map { #"{"id": \#($0), "prompt": "Once \#($0)", "continuations": [" upon"]}"# }
        let file = directory.write(Array(lines.joined(separator: "\n").utf8), "items.jsonl")
        let whole = try tinysparse(command + ["--file", file])
        XCTAssertEqual(whole.status, 0, whole.errors)
        let all = whole.output.split(separator: "\n")
        XCTAssertEqual(all.count, 4)
        let earlier = directory.write(
            Array(([all[1], all[2]].joined(separator: "\n") + "\n{\"id\": 3").utf8), "earlier")
        let rest = try tinysparse(command + ["-f", file, "--resume", earlier])
        XCTAssertEqual(rest.output.split(separator: "\n"), [all[0], all[3]])
        XCTAssertEqual(try tinysparse(command + ["-f", "/no/file"]).status, 1)
        XCTAssertEqual(try tinysparse(["score", Self.model, "x"]).status, 2)
    }
}
