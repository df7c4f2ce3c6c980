// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import TinySparse
import XCTest

/// Sequences of a batch have the tokens that each has alone, whatever their company.
final class BatchedDecodingTests: XCTestCase {
    private func model(_ name: String) throws -> Model {
        try Model(path: packageFolder.path + "/Tests/EndToEndTests/Reference/fixtures/\(name).gguf")
    }

    /// A text to generate.
    private struct Job: Hashable {
        var prompt: [Int32]
        var maxTokens: Int
        var seed: UInt64
        var temperature: Float
        var stop: [String]
        var shifts: Bool

        var options: GenerationOptions {
            var options = GenerationOptions()
            options.maxTokens = maxTokens
            options.sampling.seed = seed
            options.sampling.temperature = temperature
            options.stop = stop
            options.shiftsContext = shifts
            return options
        }
    }

    private struct Answer: Equatable {
        var text = ""
        var tokens = 0
        var reason: StopReason?
    }

    private func alone(_ job: Job, _ model: Model, _ options: Session.Options) throws -> Answer {
        let session = try Session(model, options)
        var generation = try session.generation(prompt: job.prompt, job.options)
        var answer = Answer()
        while let piece = try generation.next() { answer.text += piece }
        answer.tokens = generation.generated.count
        answer.reason = generation.reason
        return answer
    }

    private func randomJob(_ random: inout ScheduleRandom, _ vocabulary: Int, _ context: Int) -> Job {
        // Prompts that begin alike, now and then.
        let start = (0..<24).map { Int32(($0 * 7 + random.below(2) * 3) % vocabulary) }
        let own = (0..<random.below(20)).map { _ in Int32(random.below(vocabulary)) }
        let prompt = Array(
            (random.below(2) == 0 ? start.prefix(random.below(24)) + own[...] : own[...]).prefix(context))
        return Job(
            prompt: prompt.isEmpty ? [5] : prompt, maxTokens: random.below(30), seed: UInt64(random.below(5)),
            temperature: [0, 0.8, 1.5][random.below(3)], stop: random.below(4) == 0 ? ["e", "qu"] : [],
            shifts: random.below(2) == 0)
    }

    /// Random schedules: sequences come, some are cancelled, and all others are as they are alone.
    func testAnyCompanyGivesTheTokensOfEachAlone() throws {
        var random = ScheduleRandom(state: 7)
        let schedules = TestTier.count(10_000)
        let kinds: [(String, Sparsity)] = [
            ("tiny-llama", .off), ("tiny-gemma", .off), ("tiny-opt-predictors", .predicted()), ("tiny-experts", .off),
            ("tiny-llama-gates", .predicted()), ("tiny-parallel", .off), ("tiny-llama-relu", .off),
        ]
        var shared = 0, cancelled = 0, finished = 0
        for (number, (name, sparsity)) in kinds.enumerated() {
            let model = try model(name)
            let context = min(48, model.config.contextLength)
            var known: [Job: Answer] = [:]
            let jobs = (0..<40).map { _ in randomJob(&random, model.config.vocabularySize, context) }
            var options = Session.Options(threads: 1, context: context, blockSize: 16, sparsity: sparsity)
            for job in jobs { known[job] = try alone(job, model, options) }
            for turn in 0..<max(schedules / kinds.count, 2) {
                options.threads = 1 + random.below(3)
                options.blockSize = [4, 16, 64][random.below(3)]
                options.kernels = kernelSets[(turn + number) % kernelSets.count]
                let places = 1 + random.below(9)
                let kept = random.below(2) * (context + random.below(places * context))
                let batch = try Batch(
                    model, places: places, cachedTokens: kept, pageSize: [16, 32, 64][random.below(3)], options)
                var open: [Batch.ID: (job: Job, answer: Answer)] = [:]
                var left = 3 + random.below(12)
                while left > 0 || !batch.isIdle {
                    while left > 0, random.below(3) > 0 {
                        let job = jobs[random.below(jobs.count)]
                        open[try batch.add(job.prompt, job.options)] = (job, Answer())
                        left -= 1
                    }
                    if random.below(10) == 0, let id = open.keys.randomElement() { batch.cancel(id) }
                    for output in batch.step() {
                        open[output.id]!.answer.text += output.text
                        guard output.isLast else { continue }
                        let (job, answer) = open.removeValue(forKey: output.id)!
                        XCTAssertNil(output.error)
                        let wanted = known[job]!
                        if output.reason == .cancelled {
                            cancelled += 1
                            XCTAssertTrue(wanted.text.utf8.starts(with: answer.text.utf8), name)
                        } else {
                            finished += 1
                            let got = Answer(text: answer.text, tokens: output.tokens, reason: output.reason)
                            guard got != wanted else { continue }
                            return XCTFail("\(name), turn \(turn): \(job) gives \(got) instead of \(wanted)")
                        }
                    }
                }
                XCTAssertTrue(open.isEmpty)
                shared += batch.sharedTokens
            }
        }
        XCTAssertGreaterThan(shared, 0)
        XCTAssertGreaterThan(cancelled, 0)
        XCTAssertGreaterThan(finished, schedules)
    }

    /// What is in a place stays when its sequence has ended, and a text that begins alike does not evaluate it again.
    func testPromptsThatBeginAlikeShare() throws {
        let model = try model("tiny-llama")
        let prompt = (0..<60).map { Int32($0 * 11 % 300) }
        for cache in CacheType.allCases {
            let options = Session.Options(threads: 1, cacheType: cache)
            let batch = try Batch(model, places: 3, options)
            var greedy = GenerationOptions()
            greedy.sampling.temperature = 0
            greedy.maxTokens = 5
            var texts: [Batch.ID: String] = [:]
            for turn in 0..<6 {
                try batch.add(prompt + [Int32(turn)], greedy)
                if turn % 2 == 0 { continue }
                while !batch.isIdle { for output in batch.step() { texts[output.id, default: ""] += output.text } }
            }
            // The second of the first pair waits for the first.
            XCTAssertGreaterThanOrEqual(batch.sharedTokens, 5 * 60)
            for turn in 0..<6 {
                let session = try Session(model, options)
                var alone = try session.generation(prompt: prompt + [Int32(turn)], greedy)
                var text = ""
                while let piece = try alone.next() { text += piece }
                XCTAssertEqual(texts[turn], text, "\(cache), \(turn)")
            }
        }
    }

    /// What several texts begin with is kept once: eight of 56 tokens each are at work where three would fit by themselves.
    func testBeginningsAreKeptOnce() throws {
        let model = try model("tiny-llama")
        let beginning = (0..<48).map { Int32($0 * 11 % 300) }
        var greedy = GenerationOptions()
        greedy.sampling.temperature = 0
        greedy.ignoresEndOfText = true
        greedy.maxTokens = 8
        for cache in CacheType.allCases {
            let options = Session.Options(threads: 1, context: 64, cacheType: cache)
            let batch = try Batch(model, places: 8, cachedTokens: 11 * 16, pageSize: 16, options)
            XCTAssertEqual(batch.cachedTokens, 176)
            for turn in 0..<8 { try batch.add(beginning + [Int32(turn)], greedy) }
            var texts = Array(repeating: "", count: 8), most = 0
            while !batch.isIdle {
                let outputs = batch.step()
                most = max(most, outputs.count)
                for output in outputs { texts[output.id] += output.text }
            }
            XCTAssertEqual(most, 8)
            XCTAssertEqual(batch.sharedTokens, 7 * 48)
            for turn in 0..<8 {
                let session = try Session(model, options)
                var alone = try session.generation(prompt: beginning + [Int32(turn)], greedy)
                var text = ""
                while let piece = try alone.next() { text += piece }
                XCTAssertEqual(texts[turn], text, "\(cache), \(turn)")
            }
            // What ended stays until its pages are needed, and those go first that were used longest ago.
            for _ in 0..<2 {
                let before = batch.sharedTokens
                try batch.add((0..<50).map { Int32($0 * 5 % 300) }, greedy)
                while !batch.isIdle { _ = batch.step() }
                try batch.add(beginning, greedy)
                while !batch.isIdle { _ = batch.step() }
                XCTAssertGreaterThanOrEqual(batch.sharedTokens - before, 47)
            }
        }
    }

    func testWhatCannotBeAddedIsRefused() throws {
        let model = try model("tiny-llama")
        let batch = try Batch(model, places: 2, Session.Options(threads: 1, context: 16))
        XCTAssertThrowsError(try batch.add([]))
        XCTAssertThrowsError(try batch.add([-1]))
        XCTAssertThrowsError(try batch.add([Int32(model.config.vocabularySize)]))
        XCTAssertThrowsError(try batch.add([Int32](repeating: 1, count: 17)))
        var options = GenerationOptions()
        options.maxTokens = -1
        XCTAssertThrowsError(try batch.add([1], options))
        XCTAssertTrue(batch.isIdle)
        XCTAssertEqual(batch.step().count, 0)
        for tokens in [-1, 15, 1 << 50] {
            XCTAssertThrowsError(try Batch(model, places: 2, cachedTokens: tokens, Session.Options(context: 16)))
        }
        for places in [0, -1, 257] { XCTAssertThrowsError(try Batch(model, places: places)) }
        // One that is full.
        options.maxTokens = 100
        let id = try batch.add([Int32](repeating: 1, count: 16), options)
        var last: Batch.Output?
        while !batch.isIdle { last = batch.step().last ?? last }
        XCTAssertEqual(last?.id, id)
        XCTAssertEqual(last?.reason, .contextFull)
        batch.cancel(id)
        batch.cancel(99)
    }
}

/// Numbers that are the same in every run.
private struct ScheduleRandom {
    var state: UInt64

    mutating func below(_ limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % limit
    }
}
