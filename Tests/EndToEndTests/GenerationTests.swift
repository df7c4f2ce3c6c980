// SPDX-License-Identifier: Apache-2.0

import TinySparse
import TinyTraining
import XCTest

/// How texts are written and how they end.
final class GenerationTests: XCTestCase {
    private func options(_ count: Int, seed: UInt64? = nil, stop: [String] = []) -> GenerationOptions {
        var options = GenerationOptions()
        options.maxTokens = count
        options.stop = stop
        if let seed {
            // Varied, but not so much that the logits do not matter.
            options.sampling.temperature = 2
            options.sampling.topK = 0
            options.sampling.topP = 1
            options.sampling.minP = 0
            options.sampling.seed = seed
        } else {
            options.sampling = .greedy
        }
        return options
    }

    private let prompt: [Int32] = [5, 40, 250, 7, 33]

    private func text(
        _ session: Session, _ options: GenerationOptions, prompt: [Int32]? = nil
    ) throws -> (text: String, Generation) {
        var generation = try session.generation(prompt: prompt ?? self.prompt, options)
        var text = ""
        while let piece = try generation.next() { text += piece }
        XCTAssertNotNil(generation.reason)
        XCTAssertNil(try generation.next(), "a text that has ended went on")
        return (text, generation)
    }

    /// Chooses tokens with a session of their own for every token: slow and plain.
    private func plainly(
        _ model: Model, _ options: GenerationOptions, context: Int, prompt: [Int32]? = nil
    ) throws -> [Int32] {
        var sampler = try Sampler(options.sampling)
        var held = prompt ?? self.prompt
        let least = held[0] == model.tokenizer.bos ? 1 : 0
        var generated: [Int32] = []
        while generated.count < options.maxTokens {
            let session = try Session(model, .init(threads: 1, context: context))
            try session.evaluate(held)
            let token = try sampler.next(session.logits, history: held)
            if model.tokenizer.isEndOfGeneration(token) { break }
            generated.append(token)
            if held.count == context {
                let keep = min(max(options.keep, least), held.count / 2)
                held = held.prefix(keep) + held.suffix((held.count - keep) / 2)
            }
            held.append(token)
        }
        return generated
    }

    func testEndOfTextCanBeIgnored() throws {
        for (golden, seed) in try GoldenModel.tiny().flatMap({ golden in (0..<8).map { (golden, UInt64($0)) } }) {
            var options = options(40, seed: seed)
            options.sampling.temperature = 100
            let (_, first) = try text(golden.session(), options)
            guard first.reason == .endOfText else { continue }
            options.ignoresEndOfText = true
            let (_, second) = try text(golden.session(), options)
            XCTAssertEqual(second.reason, .maxTokens)
            XCTAssertEqual(second.generated.prefix(first.generated.count), first.generated[...])
            XCTAssert(golden.model.tokenizer.isEndOfGeneration(second.generated[first.generated.count]))
            return
        }
        XCTFail("no text has ended by itself")
    }

    func testGreedyTextIsTheMostLikelyTokenAtEveryStep() throws {
        for name in ["tiny-llama-relu", "tiny-opt-gelu"] {
            let golden = try GoldenModel(tiny: name)
            let session = try golden.session()
            let (_, generation) = try text(session, options(30))
            let reader = try golden.session()
            try reader.evaluate(prompt)
            for token in generation.generated {
                XCTAssertEqual(Int(token), argmax(reader.logits), name)
                try reader.decode(token)
            }
            switch generation.reason {
            case .maxTokens: XCTAssertEqual(generation.generated.count, 30)
            case .endOfText: XCTAssertTrue(golden.model.tokenizer.isEndOfGeneration(Int32(argmax(reader.logits))))
            default: XCTFail("ended by \(String(describing: generation.reason))")
            }
        }
    }

    func testTheSameSeedWritesTheSameTextWithAnyKernelsAndThreads() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        let wanted = try plainly(golden.model, options(40, seed: 3), context: 64)
        XCTAssertGreaterThan(Set(wanted).count, 10, "too little variety; choose another seed")
        for kernels in kernelSets {
            for threads in 1...2 {
                let (_, generation) = try text(golden.session(kernels, threads: threads), options(40, seed: 3))
                XCTAssertEqual(generation.generated, wanted, "\(kernels), \(threads) threads")
            }
        }
        let (_, other) = try text(golden.session(), options(40, seed: 4))
        XCTAssertNotEqual(other.generated, wanted)
    }

    func testAFullContextEndsTheTextUnlessItMayShift() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        let session = try golden.session(context: 12)
        let (_, generation) = try text(session, options(50, seed: 1))
        XCTAssertEqual(generation.reason, .contextFull)
        XCTAssertEqual(generation.generated.count, 12 - prompt.count + 1)
        XCTAssertEqual(session.tokens.count, 12)
    }

    func testAShiftedContextWritesAsIfOnlyTheKeptTokensHadBeenRead() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        for (context, keep) in [(12, 0), (12, 3), (13, 6), (16, 100), (9, 4), (8, 1)] {
            var shifting = options(60, seed: 9)
            shifting.shiftsContext = true
            shifting.keep = keep
            let wanted = try plainly(golden.model, shifting, context: context)
            XCTAssertGreaterThan(wanted.count, 2 * context, "the text is too short to shift; choose another seed")
            XCTAssertGreaterThan(Set(wanted).count, context, "too little variety; choose another seed")
            let (_, generation) = try text(golden.session(context: context), shifting)
            XCTAssertEqual(generation.generated, wanted, "context \(context), \(keep) kept")
        }
    }

    /// As in llama.cpp, which always keeps that token.
    func testAShiftedContextKeepsItsBeginToken() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        let bos = try XCTUnwrap(golden.model.tokenizer.bos)
        for (context, keep) in [(12, 0), (13, 1), (9, 4), (16, 100)] {
            var shifting = options(3 * context, seed: 0)
            (shifting.shiftsContext, shifting.keep) = (true, keep)
            var wanted: [Int32] = []
            while wanted.count <= 2 * context {
                shifting.sampling.seed += 1
                wanted = try plainly(golden.model, shifting, context: context, prompt: [bos, 5, 40])
            }
            let session = try golden.session(context: context)
            let (_, generation) = try text(session, shifting, prompt: [bos, 5, 40])
            XCTAssertEqual(generation.generated, wanted, "context \(context), \(keep) kept")
            XCTAssertEqual(session.tokens.first, bos)
        }
    }

    func testTheSmallestContextsShiftToo() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        for context in 1...3 {
            for keep in 0...3 {
                var shifting = options(20, seed: 2)
                shifting.shiftsContext = true
                shifting.keep = keep
                let session = try golden.session(context: context)
                var generation = try session.generation(prompt: [7], shifting)
                while try generation.next() != nil {}
                XCTAssertTrue(
                    generation.reason == .maxTokens || generation.reason == .endOfText,
                    "context \(context), \(keep) kept: \(String(describing: generation.reason))")
            }
        }
    }

    func testAStopStringEndsTheTextJustBeforeIt() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        let (whole, _) = try text(golden.session(), options(60, seed: 5))
        let characters = Array(whole)
        XCTAssertGreaterThan(characters.count, 12, "the text is too short; choose another seed")
        for start in [3, 6, characters.count - 5] {
            let stop = String(characters[start..<start + 4])
            let found = try XCTUnwrap(whole.range(of: stop, options: .literal))
            let (cut, generation) = try text(
                golden.session(), options(60, seed: 5, stop: ["never to be found", "", stop]))
            XCTAssertEqual(cut, String(whole[..<found.lowerBound]))
            XCTAssertEqual(generation.reason, .stopString(stop))
        }
        let (same, generation) = try text(golden.session(), options(60, seed: 5, stop: ["never to be found"]))
        XCTAssertEqual(same, whole)
        XCTAssertNotEqual(generation.reason, .stopString("never to be found"))
    }

    /// A limit may fall between the tokens of one character, a stop string may span several tokens.
    func testTextIsCutBetweenCharacters() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let tokenizer = golden.model.tokenizer
        var (cut, spanning) = (0, 0)
        for seed in 0..<UInt64(40) {
            let count = 4 + Int(seed % 5)
            var options = options(count, seed: seed)
            options.sampling.temperature = 50
            let (text, generation) = try text(golden.session(), options)
            guard generation.reason == .maxTokens else { continue }
            var decoder = StreamingDecoder()
            let whole = decoder.feed(tokenizer.decodeBytes(generation.generated))
            XCTAssertEqual(text, whole, "seed \(seed)")
            cut += decoder.isPending ? 1 : 0
            // The end of one token and the beginning of the next are a stop string.
            let pieces = generation.generated.map { String(decoding: tokenizer.piece(of: $0), as: UTF8.self) }
            guard let i = (0..<count - 1).first(where: { !pieces[$0].isEmpty && !pieces[$0 + 1].isEmpty }),
                let last = pieces[i].last, let first = pieces[i + 1].first, last != "\u{FFFD}", first != "\u{FFFD}",
                whole.contains("\(last)\(first)")
            else { continue }
            let stop = "\(last)\(first)"
            options.stop = [stop]
            let stopped = try self.text(golden.session(), options)
            XCTAssertEqual(stopped.1.reason, .stopString(stop))
            XCTAssertEqual(stopped.text, String(whole[..<whole.ranges(of: stop)[0].lowerBound]))
            spanning += 1
        }
        XCTAssertGreaterThan(cut, 0)
        XCTAssertGreaterThan(spanning, 0)
    }

    func testNoTokensCanBeAskedFor() throws {
        let session = try GoldenModel(tiny: "tiny-opt").session()
        let (text, generation) = try text(session, options(0))
        XCTAssertEqual(text, "")
        XCTAssertEqual(generation.reason, .maxTokens)
        XCTAssertEqual(session.tokens, prompt)
    }

    func testACallerCanEndTheText() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        var pieces = 0
        let result = try golden.session().generate("the quick", options(50, seed: 5)) { _ in
            pieces += 1
            return pieces < 3
        }
        XCTAssertEqual(result.reason, .cancelled)
        XCTAssertEqual(pieces, 3)
        struct Enough: Error {}
        XCTAssertThrowsError(try golden.session().generate("the quick", options(50, seed: 5)) { _ in throw Enough() }) {
            XCTAssertTrue($0 is Enough)
        }
    }

    func testTheAsynchronousTextIsTheSynchronousOne() async throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        var wanted: [String] = []
        try golden.session().generate("the quick", options(40, seed: 5)) {
            wanted.append($0); return true
        }
        XCTAssertGreaterThan(wanted.count, 3)
        var pieces: [String] = []
        for try await piece in try golden.session().stream("the quick", options(40, seed: 5)) { pieces.append(piece) }
        XCTAssertEqual(pieces, wanted)
    }

    func testErrorsComeOutOfTheAsynchronousText() async throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        do {
            for try await _ in try golden.session(context: 1).stream("the quick brown fox") {}
            XCTFail("nothing was thrown")
        } catch { XCTAssertEqual(error as? RuntimeError, .contextFull(limit: 1)) }
    }

    func testACancelledTaskEndsItsTextSoon() async throws {
        let golden = try GoldenModel(tiny: "tiny-llama-relu")
        let pieces = Counters(1)
        let writing = options(1_000_000, seed: 5)
        let task = Task {
            var options = writing
            options.shiftsContext = true
            // A text that starts anew whenever it ends goes on until it is cancelled.
            while !Task.isCancelled {
                for try await _ in try golden.session().stream("the quick", options) { pieces.add(0) }
            }
        }
        while pieces.values[0] < 5 { try await Task.sleep(nanoseconds: 1_000_000) }
        task.cancel()
        try await task.value
        XCTAssertGreaterThanOrEqual(pieces.values[0], 5)
    }
}
