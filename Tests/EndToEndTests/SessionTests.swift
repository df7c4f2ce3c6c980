// SPDX-License-Identifier: Apache-2.0

import Dispatch
import SIMDKernels
import Synchronization
import TinySparse
import TinyTraining
import XCTest

/// What a session promises beside numbers: limits, errors, and peace among threads.
final class SessionTests: XCTestCase {
    private func assertThrows<T>(
        _ expected: RuntimeError, _ body: @autoclosure () throws -> T, file: StaticString = #filePath,
        line: UInt = #line
    ) {
        XCTAssertThrowsError(try body(), file: file, line: line) {
            XCTAssertEqual($0 as? RuntimeError, expected, file: file, line: line)
        }
    }

    /// Fails unless `body` throws `badOption`.
    private func assertBadOption<T>(
        _ body: @autoclosure () throws -> T, file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertThrowsError(try body(), file: file, line: line) {
            guard case RuntimeError.badOption(let text) = $0 else {
                return XCTFail("threw \($0)", file: file, line: line)
            }
            XCTAssertFalse(text.isEmpty, file: file, line: line)
        }
    }

    // MARK: Limits

    func testTokensBeyondTheContextAreRefusedAndNothingIsRead() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let session = try golden.session(context: 10)
        XCTAssertEqual(session.contextLimit, 10)
        assertThrows(.contextFull(limit: 10), try session.evaluate(golden.tokens[..<11]))
        XCTAssertEqual(session.tokens, [])
        try session.evaluate(golden.tokens[..<10])
        XCTAssertEqual(session.logitsHash, golden.golden.logits[9])
        assertThrows(.contextFull(limit: 10), try session.decode(golden.tokens[10]))
        XCTAssertEqual(session.tokens, Array(golden.tokens[..<10]))
        try session.evaluate([])
        XCTAssertEqual(session.logitsHash, golden.golden.logits[9])
    }

    func testTokensOutsideTheVocabularyAreRefusedAndNothingIsRead() throws {
        let golden = try GoldenModel(tiny: "tiny-opt")
        let session = try golden.session()
        let size = golden.model.config.vocabularySize
        for bad in [-1, Int32(size), .max, .min] {
            assertThrows(.tokenOutOfRange(bad, vocabularySize: size), try session.evaluate([1, 2, bad]))
            XCTAssertEqual(session.tokens, [])
        }
        XCTAssertEqual(try session.trace(golden.tokens), golden.golden)
    }

    func testOptionsThatMakeNoSenseAreRefused() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        for threads in [-1, 257, .max, .min] { assertBadOption(try golden.session(threads: threads)) }
        for block in [0, -1, 4097, .max] { assertBadOption(try golden.session(block: block)) }
        for context in [-1, golden.model.config.contextLength + 1, .max] {
            assertBadOption(try golden.session(context: context))
        }
        assertBadOption(try golden.session("mmx"))
        let session = try golden.session()
        XCTAssertEqual(session.contextLimit, golden.model.config.contextLength)
        var options = GenerationOptions()
        options.maxTokens = -1
        assertBadOption(try session.generation(prompt: [1], options))
        XCTAssertEqual(session.tokens, [], "a prompt was read although the options were refused")
    }

    func testAnEmptyPromptIsRefusedWhereNoTokenBeginsATextButGoesOnWithATextThatWasRead() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let session = try golden.session()
        XCTAssertThrowsError(try session.generate("") { _ in true }) {
            guard case RuntimeError.emptyInput(let message) = $0 else { return XCTFail("\($0)") }
            // The model may have a token of that kind; `inspect` says "not added".
            XCTAssertTrue(message.contains("adds no token before a text"), message)
        }
        try session.evaluate(golden.tokens[..<5])
        var options = GenerationOptions()
        options.sampling = .greedy
        options.maxTokens = 1
        var generation = try session.generation(prompt: [], options)
        _ = try generation.next()
        XCTAssertEqual(generation.generated.first.map(Int.init), argmax(session.logits))
    }

    func testAModelWhoseOutputIsNotFiniteIsReported() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let broken = try changedModel(golden.path, "token_embd.scale") { bytes in
            for i in bytes.bindMemory(to: Float.self).indices { bytes.bindMemory(to: Float.self)[i] = 3e38 }
        }
        for kernels in kernelSets {
            let session = try Session(broken, .init(threads: 1, kernels: kernels))
            assertThrows(
                .nonFiniteLogits(position: 2),
                try {
                    var generation = try session.generation(prompt: [1, 2, 3])
                    _ = try generation.next()
                }())
        }
    }

    // MARK: Threads

    func testManySessionsOfOneModelRunBesideEachOther() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-factors")
        let results = Results<Trace>(12)
        DispatchQueue.concurrentPerform(iterations: 12) { i in
            results.set(i) {
                try golden.session(kernelSets[i % kernelSets.count], threads: i % 3 + 1, block: [1, 8, 64][i % 3])
                    .trace(golden.tokens)
            }
        }
        for trace in try results.all() { assertSame(trace, golden.golden, "side by side") }
    }

    func testMoreThreadsThanCoresFinishWithTheSameBits() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        for threads in [8, 16] {
            for block in [1, 64] {
                assertSame(
                    try golden.session(threads: threads, block: block).trace(golden.tokens), golden.golden,
                    "\(threads) threads, blocks of \(block)")
            }
        }
    }

    func testAPoolDoesEveryPieceOnceOnWorkersThatExist() {
        for threads in [1, 2, 3, 8] {
            let pool = WorkerPool(threads: threads, cores: threads)
            XCTAssertEqual(pool.threads, threads)
            for pieces in [0, 1, 2, 3, 7, 64, 1000] {
                let counts = Counters(pieces), workers = Counters(threads)
                pool.run(pieces) { piece, worker in
                    counts.add(piece)
                    workers.add(worker)
                }
                XCTAssertTrue(
                    counts.values.allSatisfy { $0 == 1 }, "\(threads) threads, \(pieces) pieces: \(counts.values)")
                XCTAssertEqual(workers.values.reduce(0, +), pieces)
            }
        }
    }

    /// Threads without a core would only make the others wait.
    func testNoMoreWorkersThanCores() {
        let pool = WorkerPool(threads: 8, cores: 2)
        XCTAssertEqual(pool.threads, 8)
        let workers = Counters(8)
        for _ in 0..<200 { pool.run(64) { _, worker in workers.add(worker) } }
        XCTAssertEqual(workers.values[0] + workers.values[1], 200 * 64)
    }

    /// As on a board with big and little cores: who takes four times as long for a piece gets about a fifth of them.
    func testShareOfWorkFollowsWhoIsFast() {
        let pool = WorkerPool(threads: 2, cores: 2)
        let workers = Counters(2)
        for _ in 0..<10 {
            pool.run(60) { _, worker in
                usleep(worker == 0 ? 500 : 2_000)
                workers.add(worker)
            }
        }
        XCTAssertEqual(workers.values.reduce(0, +), 600)
        XCTAssertLessThan(workers.values[1], 200, "\(workers.values)")
        XCTAssertGreaterThan(workers.values[1], 40, "\(workers.values)")
    }

    /// A worker takes pieces that follow each other, so that it reads memory in one stream: its own come first, in order.
    func testPiecesOfAWorkerFollowEachOther() {
        let pool = WorkerPool(threads: 2, cores: 2)
        let taken = Mutex<[[Int]]>([[], []])
        pool.run(64) { piece, worker in
            usleep(200)
            taken.withLock { $0[worker].append(piece) }
        }
        for (own, pieces) in zip([0..<32, 32..<64], taken.withLock { $0 }) {
            let mine = pieces.filter(own.contains)
            XCTAssertEqual(Array(pieces.prefix(mine.count)), mine.sorted())
        }
    }

    func testAHundredThousandTinyJobsInARowLoseNothing() {
        for (threads, jobs) in [(2, 100_000), (4, 5_000)] {
            let pool = WorkerPool(threads: threads, cores: threads)
            let counts = Counters(5)
            var expected = [Int](repeating: 0, count: 5)
            for job in 0..<jobs {
                let pieces = job % 5 + 1
                pool.run(pieces) { piece, _ in counts.add(piece) }
                for piece in 0..<pieces { expected[piece] += 1 }
                if job % 1000 == 0 { XCTAssertEqual(counts.values, expected) }
            }
            XCTAssertEqual(counts.values, expected)
        }
    }

    func testAPoolWakesFromItsParkingAndItsMemoryIsReadable() {
        let pool = WorkerPool(threads: 3, cores: 3)
        for round in 0..<20 {
            usleep(round % 2 == 0 ? 3_000 : 300)
            // What the caller wrote before is seen by the workers, what they write by the caller.
            let input = (0..<64).map { $0 + round }
            let output = UnsafeMutableBufferPointer<Int>.allocate(capacity: 64)
            defer { output.deallocate() }
            nonisolated(unsafe) let target = output
            pool.run(64) { piece, _ in target[piece] = input[piece] * 2 }
            XCTAssertEqual(Array(output), input.map { $0 * 2 })
        }
    }

    func testPoolsAreMadeAndUnmadeManyTimes() {
        for round in 0..<300 {
            let pool = WorkerPool(threads: round % 4 + 1, cores: 4)
            // Some pools end before their workers have begun.
            guard round % 3 > 0 else { continue }
            let counts = Counters(9)
            pool.run(9) { piece, _ in counts.add(piece) }
            XCTAssertEqual(counts.values, [Int](repeating: 1, count: 9))
        }
    }
}

/// The index of the largest, the first of equals.
func argmax(_ values: some Collection<Float>) -> Int {
    let values = Array(values)
    return values.firstIndex(of: values.max()!)!
}
