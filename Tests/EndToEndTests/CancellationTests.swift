// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// Work can be ended between two blocks of a prompt, and between two tokens.
final class CancellationTests: XCTestCase {
    private let tokens = (0..<60).map { Int32($0 * 11 % 300) }

    private func session(context: Int = 0) throws -> Session {
        try Session(
            Model(path: Tool.fixture("tiny-llama.gguf")), .init(threads: 1, context: context, blockSize: 8))
    }

    private var endless: GenerationOptions {
        var options = GenerationOptions()
        options.sampling = .greedy
        options.maxTokens = .max
        options.shiftsContext = true
        return options
    }

    /// What a session that was stopped has read is whole, and it goes on as if nothing had been.
    func testPromptsOfSessions() throws {
        for blocks in [0, 1, 3] {
            var left = blocks
            let session = try session()
            var generation = try session.generation(prompt: tokens) {
                left -= 1
                return left >= 0
            }
            XCTAssertEqual(generation.reason, .cancelled)
            XCTAssertNil(try generation.next())
            XCTAssertEqual(session.tokens, Array(tokens[..<(8 * blocks)]))
            try session.prefill(tokens[(8 * blocks)...])
            let alone = try self.session()
            try alone.prefill(tokens)
            XCTAssertEqual(session.logitsHash, alone.logitsHash)
        }
    }

    /// Half of a full context is evaluated anew, which takes as long as a prompt.
    func testShiftsOfTheContext() throws {
        let session = try session(context: 64)
        var generation = try session.generation(prompt: tokens, endless)
        var asked = 0
        while let _ = try generation.next(while: {
            asked += 1; return asked < 3
        }) {}
        XCTAssertEqual(asked, 3)
        XCTAssertEqual(generation.reason, .cancelled)
        XCTAssertEqual(session.tokens.count, 16)
        XCTAssertEqual(session.tokens, Array((tokens + generation.generated)[..<64].suffix(32).prefix(16)))
    }

    func testGenerateAndStream() async throws {
        let session = try session()
        var asked = 0
        let result = try session.generate(
            String(repeating: "so ", count: 40),
            while: {
                asked += 1; return asked < 3
            }
        ) {
            _ in true
        }
        XCTAssertEqual(result.reason, .cancelled)
        XCTAssertEqual(session.tokens.count, 16)
        XCTAssertEqual(result.tokens, [])
        // A task that is cancelled before the prompt reads none of it.
        let model = session.model
        let pieces = Task {
            let session = try Session(model, .init(threads: 1, blockSize: 8))
            var pieces = 0
            withUnsafeCurrentTask { $0?.cancel() }
            for try await _ in session.stream(String(repeating: "so ", count: 40)) { pieces += 1 }
            return (pieces, session.tokens.count)
        }
        let (count, read) = try await pieces.value
        XCTAssertEqual(count, 0)
        XCTAssertEqual(read, 0)
    }

    /// A step of a batch reads a block at most; a text that is cancelled then reads no more, and its place is free.
    func testPromptsOfBatches() throws {
        let model = try Model(path: Tool.fixture("tiny-llama.gguf"))
        for steps in 0..<7 {
            let batch = try Batch(model, places: 1, .init(threads: 1, blockSize: 8))
            let first = try batch.add(tokens, endless), second = try batch.add(tokens, endless)
            for _ in 0..<steps { XCTAssertTrue(batch.step().isEmpty) }
            batch.cancel(first)
            let outputs = batch.step()
            XCTAssertEqual(outputs.map(\.id), [first])
            XCTAssertEqual(outputs[0].reason, .cancelled)
            XCTAssertEqual(outputs[0].tokens, 0)
            XCTAssertTrue(batch.step().isEmpty)
            // What the first had read of the prompt is there.
            XCTAssertEqual(batch.sharedTokens, 8 * steps)
            batch.cancel(second)
            while !batch.isIdle { _ = batch.step() }
        }
    }

    /// Texts that go on where others have stopped are as they are alone, with predictors, too: those that were decoded with some
    /// neurons are not what a prompt has.
    func testSharedTokensAreThoseOfPrompts() throws {
        let model = try Model(path: Tool.fixture("tiny-opt-predictors.gguf"))
        let options = Session.Options(threads: 1, sparsity: .predicted())
        var greedy = GenerationOptions()
        greedy.sampling = .greedy
        greedy.maxTokens = 12
        func text(_ batch: Batch, _ prompt: [Int32]) throws -> String {
            try batch.add(prompt, greedy)
            var text = ""
            while !batch.isIdle { text += batch.step().map(\.text).joined() }
            return text
        }
        let session = try Session(model, options)
        var first = try session.generation(prompt: Array(tokens[..<10]), greedy)
        while let _ = try first.next() {}
        let longer: [Int32] = tokens[..<10] + first.generated + [7]
        session.rewind(to: 0)
        var second = try session.generation(prompt: longer, greedy)
        var alone = ""
        while let piece = try second.next() { alone += piece }
        let batch = try Batch(model, places: 2, options)
        _ = try text(batch, Array(tokens[..<10]))
        XCTAssertEqual(try text(batch, longer), alone)
        XCTAssertEqual(batch.sharedTokens, 10)
    }
}
