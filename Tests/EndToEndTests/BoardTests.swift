// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyPlatform
import TinySparse
import XCTest

/// Small machines: keys and values in bytes, limits of memory, few cores.
final class BoardTests: XCTestCase {
    // MARK: Keys and values in bytes

    func testEveryKernelSetKeepsBytesAsTheReference() throws {
        for golden in try GoldenModel.tiny() + GoldenModel.experts() {
            let wanted = try Trace(hashes: Tool.fixture(golden.name + ".int8.hashes.txt"))
            XCTAssertNotEqual(wanted, golden.golden)
            for kernels in Kernels.available.map(\.name) {
                for (threads, block) in [(1, 128), (2, 1), (3, 7)] {
                    let session = try Session(
                        golden.model, .init(threads: threads, blockSize: block, kernels: kernels, cacheType: .int8))
                    assertSame(
                        try session.trace(golden.tokens), wanted, "\(golden.name) \(kernels) \(threads) \(block)")
                }
            }
        }
    }

    // MARK: Memory

    /// The plan, the sum of the buffers of a session, and what the process has mapped for them are one number.
    func testThePlanIsWhatASessionMaps() throws {
        func mapped() throws -> Int {
            let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[0]
            return Int(pages)! * Int(sysconf(Int32(_SC_PAGESIZE)))
        }
        for name in ["tiny-llama.gguf", "tiny-opt.gguf", "tiny-llama-screen.gguf"] {
            let model = try Model(path: Tool.fixture(name), residence: .mapped)
            for (sparsity, cache) in [(Sparsity.off, CacheType.half), (.predicted(), .int8), (.keep(0.5), .half)] {
                let options = Session.Options(
                    threads: 1, blockSize: 16, sparsity: sparsity, screensHead: true, cacheType: cache)
                let context = model.config.contextLength
                let plan = try options.memoryNeeded(model, context: context, blockSize: 16)
                let other = Session.Options.modelBytes(model) + (1 << 16) + 4 * context
                let before = try mapped()
                let session = try Session(model, options)
                let grown = try mapped() - before
                XCTAssertEqual(session.bufferBytes, plan - other, name)
                // Each buffer ends on a page; nothing else of a session is large.
                XCTAssertGreaterThanOrEqual(grown, session.bufferBytes, name)
                XCTAssertLessThan(grown, session.bufferBytes + (1 << 20), name)
                withExtendedLifetime(session) {}
            }
        }
    }

    func testALimitOfMemoryChoosesBlocksAndContext() throws {
        let model = try Model(path: Tool.fixture("tiny-llama.gguf"), residence: .mapped)
        let most = model.config.contextLength
        let options = Session.Options(threads: 1)
        func session(_ bytes: Int, context: Int = 0) throws -> Session {
            try Session(model, .init(threads: 1, context: context, memoryLimit: bytes))
        }
        let all = try options.memoryNeeded(model, context: most, blockSize: min(most, 128))
        XCTAssertEqual(try session(all).contextLimit, most)
        // A byte less: smaller blocks, the same context.
        XCTAssertEqual(try session(all - 1).contextLimit, most)
        let smallest = try options.memoryNeeded(model, context: most, blockSize: 4)
        XCTAssertLessThan(smallest, all)
        let short = try session(smallest - 100)
        XCTAssertLessThan(short.contextLimit, most)
        XCTAssertLessThanOrEqual(
            try options.memoryNeeded(model, context: short.contextLimit, blockSize: 4), smallest - 100)
        // A context that was asked for is not cut.
        XCTAssertThrowsError(try session(smallest - 100, context: most)) {
            XCTAssert("\($0)".contains("\(smallest)"), "\($0)")
        }
        XCTAssertThrowsError(try session(1 << 20))
        let bytes = Session.Options(threads: 1, cacheType: .int8)
        XCTAssertLessThan(try bytes.memoryNeeded(model, context: most, blockSize: 4), smallest)
        // What is chosen changes no result.
        let tokens = Array<Int32>(0..<20)
        let free = try Session(model, options)
        try free.evaluate(tokens)
        try short.evaluate(tokens)
        XCTAssertEqual(Array(free.logits), Array(short.logits))
    }

    func testTheCommandLineKeepsTheLimit() throws {
        let model = Tool.fixture("tiny-llama.gguf")
        let run = ["run", "-m", model, "-n", "8", "--greedy", "Once"]
        let free = try Tool.run(Tool.tinysparse, run)
        let limited = try Tool.run(Tool.tinysparse, run + ["--memory-limit", "64M"])
        XCTAssertEqual(limited.code, 0, limited.errors)
        XCTAssertEqual(limited.output, free.output)
        for command in [run, ["bench", "-m", model], ["batch", "-m", model], ["chat", "--template", "plain", model]] {
            let refused = try Tool.run(
                Tool.tinysparse, command + ["--memory-limit", "2M"], input: "{\"prompt\": \"a\"}\n")
            XCTAssertEqual(refused.code, 1, refused.output)
            XCTAssert(refused.errors.contains("2097152 bytes of memory are too little"), refused.errors)
        }
        XCTAssertEqual(try Tool.run(Tool.tinysparse, run + ["--memory-limit", "many"]).code, 2)
        XCTAssertEqual(try Tool.run(Tool.tinysparse, run + ["--cache", "int4"]).code, 2)
    }

    // MARK: Cores

    private func threads(_ program: String, _ arguments: [String]) throws -> Int {
        let bench = [
            "bench", "-m", Tool.fixture("tiny-opt.gguf"), "--prompt-tokens", "4", "--generate", "4", "-r", "1",
            "--json",
        ]
        let result = try Tool.run(program, arguments + bench)
        XCTAssertEqual(result.code, 0, result.errors)
        let line = try XCTUnwrap(result.output.split(separator: "\n").first { $0.contains("\"threads\": ") })
        return try XCTUnwrap(Int(line.split(whereSeparator: { !$0.isNumber })[0]))
    }

    func testOnlyTheCoresThatTasksetLeavesAreUsed() throws {
        try Tool.need("/usr/bin/taskset", "there is no taskset")
        XCTAssertEqual(try threads("/usr/bin/taskset", ["-c", "0", Tool.tinysparse]), 1)
        XCTAssertEqual(try threads("/usr/bin/env", [Tool.tinysparse]), availableCores)
    }

    /// More threads than cores take turns: the same text, in a time that is not another order.
    func testManyThreadsOnOneCoreAreHarmless() throws {
        try Tool.need("/usr/bin/taskset", "there is no taskset")
        func run(_ threads: String) throws -> (String, Duration) {
            let start = ContinuousClock.now
            let result = try Tool.run(
                "/usr/bin/taskset",
                [
                    "-c", "0", Tool.tinysparse, "run", "-m", Tool.fixture("tiny-llama.gguf"), "-n", "60", "--greedy",
                    "--context-shift", "-t", threads, "Once",
                ])
            XCTAssertEqual(result.code, 0, result.errors)
            return (result.output, ContinuousClock.now - start)
        }
        let (text, one) = try run("1")
        let (same, many) = try run("16")
        XCTAssertEqual(same, text)
        print("60 tokens on one core: \(one) with 1 thread, \(many) with 16")
        XCTAssertLessThan(many, one * 30 + .seconds(5))
    }
}
