// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinySparse
import XCTest

/// A text is the same with drafts as without, and drafts are made where they pay.
final class SpeculationTests: XCTestCase {
    private func model(_ name: String) throws -> Model {
        try Model(path: packageFolder.path + "/Tests/EndToEndTests/Reference/fixtures/\(name).gguf")
    }

    private struct Answer: Equatable {
        var pieces: [String] = []
        var tokens: [Int32] = []
        var reason: StopReason?
        /// What the session holds afterwards, and its logits.
        var held: [Int32] = []
        var logits: UInt64 = 0
    }

    private let prompt: [Int32] = [5, 40, 250, 7, 33, 5, 40, 250]

    private func answer(
        _ model: Model, _ options: Session.Options, _ generation: GenerationOptions, draft: Int? = nil,
        _ activity: inout (drafted: Int, accepted: Int)
    ) throws -> Answer {
        let session = try Session(model, options)
        if let draft { session.fixDraftLength(draft) }
        var generation = try session.generation(prompt: prompt, generation)
        var answer = Answer()
        while let piece = try generation.next() { answer.pieces.append(piece) }
        answer.tokens = generation.generated
        answer.reason = generation.reason
        answer.held = session.tokens
        answer.logits = session.logitsHash
        if let more = session.speculationActivity {
            activity.drafted += more.drafted
            activity.accepted += more.accepted
        }
        return answer
    }

    /// Ways to choose tokens and to end.
    private var generations: [GenerationOptions] {
        var greedy = GenerationOptions()
        greedy.sampling = .greedy
        greedy.maxTokens = 40
        var varied = greedy
        varied.sampling = SamplingOptions()
        varied.sampling.seed = 3
        varied.sampling.repeatPenalty = 1.1
        varied.shiftsContext = true
        varied.maxTokens = 70
        var stopped = greedy
        stopped.sampling.temperature = 1.5
        stopped.sampling.topK = 0
        stopped.stop = ["e", "qu"]
        return [greedy, varied, stopped]
    }

    func testDraftsChangeNoText() throws {
        let cases: [(String, Sparsity, [Speculation])] = [
            ("tiny-llama", .off, [.promptLookup, .draftModel(try model("tiny-llama"))]),
            ("tiny-llama-relu", .off, [.promptLookup, .draftModel(try model("tiny-llama"))]),
            ("tiny-gemma", .off, [.promptLookup]),
            ("tiny-experts", .off, [.promptLookup]),
            ("tiny-opt-predictors", .predicted(), [.promptLookup, .selfDraft]),
            ("tiny-llama-predictors", .keep(0.3), [.promptLookup, .selfDraft]),
            ("tiny-llama-screen", .off, [.promptLookup]),
        ]
        var activity = (drafted: 0, accepted: 0)
        for (name, sparsity, speculations) in cases {
            let model = try model(name)
            for speculation in speculations {
                var options = Session.Options(
                    threads: 1, context: min(48, model.config.contextLength), sparsity: sparsity,
                    screensHead: name.hasSuffix("screen"))
                var plain = options
                if case .selfDraft = speculation { plain.sparsity = .off }
                options.speculation = speculation
                for generation in generations {
                    let wanted = try answer(model, plain, generation, &activity)
                    let lengths = TestTier.isFull ? [1, 15, 3, 7, 2, 15] : [15, 7]
                    for (kernels, draft) in zip(kernelSets + kernelSets, lengths) {
                        options.kernels = kernels
                        options.threads = 1 + draft % 3
                        options.blockSize = draft == 7 ? 4 : 128
                        for length in [draft, nil] {
                            let found = try answer(model, options, generation, draft: length, &activity)
                            XCTAssertEqual(found, wanted, "\(name), \(speculation), \(kernels), \(draft)")
                        }
                    }
                }
            }
        }
        XCTAssertGreaterThan(activity.accepted, 100, "hardly a draft was right, so that nothing was tested")
        XCTAssertGreaterThan(activity.drafted - activity.accepted, 100, "hardly a draft was wrong")
    }

    /// A session that is used otherwise in between forgets what it has evaluated ahead.
    func testASessionCanBeUsedBetweenTwoPieces() throws {
        let model = try model("tiny-llama")
        let session = try Session(model, .init(threads: 1, speculation: .promptLookup))
        session.fixDraftLength(8)
        var options = GenerationOptions()
        options.sampling = .greedy
        options.maxTokens = 30
        var generation = try session.generation(prompt: prompt, options)
        for _ in 0..<12 { _ = try generation.next() }
        let other = try Session(model, .init(threads: 1))
        try other.evaluate(session.tokens)
        XCTAssertEqual(session.logitsHash, other.logitsHash)
        session.rewind(to: 9)
        other.rewind(to: 9)
        for token: Int32 in [17, 3] {
            try session.decode(token)
            try other.decode(token)
            XCTAssertEqual(session.logitsHash, other.logitsHash)
        }
        XCTAssertEqual(session.tokens, other.tokens)
    }

    func testWhatCannotDraftIsRefused() throws {
        let model = try model("tiny-llama")
        for (sparsity, speculation): (Sparsity, Speculation) in [
            (.off, .selfDraft), (.predicted(), .selfDraft),
            (.off, .draftModel(try Model(path: packageFolder.path + "/models/tinysparse-fairy.gguf"))),
        ] {
            XCTAssertThrowsError(try Session(model, .init(sparsity: sparsity, speculation: speculation)))
        }
        XCTAssertThrowsError(try Batch(model, places: 2, .init(speculation: .promptLookup)))
    }

    func testThePlanCountsDrafts() throws {
        let model = try model("tiny-llama-predictors"), draft = try self.model("tiny-llama")
        let plain = Session.Options(threads: 1, context: 64, sparsity: .predicted())
        let base = try plain.memoryNeeded(model, context: 64, blockSize: 16)
        for speculation in [Speculation.promptLookup, .selfDraft, .draftModel(draft)] {
            var options = plain
            options.speculation = speculation
            let rows = 15 * model.config.vocabularySize * MemoryLayout<Float>.stride
            XCTAssertGreaterThanOrEqual(try options.memoryNeeded(model, context: 64, blockSize: 16), base + rows)
        }
    }

    // MARK: When drafts are made

    /// Seconds that a text of `count` tokens takes with drafts, and without.
    /// - Parameters:
    ///   - block: seconds of a block with so many tokens of a draft.
    ///   - rightness: how likely a token of a draft is right.
    private func time(
        _ count: Int, making: Double, rightness: [Double], block: (Int) -> Double
    ) -> (with: Double, without: Double, drafted: Int) {
        var planner = DraftPlanner(longest: 15, expectations: [0.5, 0.9])
        var random = SplitMix64(state: 11)
        var written = 0, drafted = 0, seconds = 0.0
        while written < count {
            let share = rightness[written * rightness.count / count]
            var draft: [DraftToken] = []
            while draft.count < 15, making == 0 || planner.goesOn(draft) {
                draft.append(DraftToken(id: 0, evidence: draft.count % 2))
            }
            let length = planner.length(of: draft)
            drafted += length
            planner.evaluated(
                length, seconds: block(length), made: draft.count, making: making * Double(draft.count))
            seconds += block(length) + making * Double(draft.count)
            written += 1
            for token in draft.prefix(max(length, making == 0 ? 1 : 0)) {
                let isRight = Double(random.next() >> 11) * 0x1p-53 < share
                planner.observed(token.evidence, isRight: isRight)
                guard isRight, length > 0 else { break }
                planner.accepted()
                written += 1
            }
        }
        return (seconds, Double(written) * block(0), drafted)
    }

    func testDraftsNeverCostMoreThanThreePercent() {
        for making in [0, 0.1, 0.6] {
            for rightness in [[0], [0.1], [0.3], [0.5], [0.9, 0], [0, 0.5, 0.05]] {
                for slope in [0.02, 0.15, 1] {
                    for count in [100, 1000] {
                        let (with, without, _) = time(count, making: making, rightness: rightness) {
                            $0 == 0 ? 1 : 1.1 + slope * Double($0)
                        }
                        // Beside the share, a token may be lost at the beginning, and as much by a wrong guess of a time.
                        XCTAssertLessThan(
                            with, 1.02 * without + 2, "\(making), \(rightness), \(slope), \(count) tokens")
                    }
                }
            }
        }
    }

    func testDraftsAreMadeWhereTheyPay() {
        func ratio(_ making: Double, _ rightness: [Double], _ slope: Double) -> Double {
            let (with, without, drafted) = time(400, making: making, rightness: rightness) {
                $0 == 0 ? 1 : 1 + slope * Double($0)
            }
            XCTAssertGreaterThan(drafted, 20)
            return without / with
        }
        XCTAssertGreaterThan(ratio(0, [0.95], 0.1), 3)
        XCTAssertGreaterThan(ratio(0, [0.7], 0.1), 1.5)
        XCTAssertGreaterThan(ratio(0.1, [0.9], 0.1), 1.8)
        XCTAssertGreaterThan(ratio(0.4, [0.95], 0.05), 1.3)
        XCTAssertGreaterThan(ratio(0, [0, 0.95], 0.1), 1.3, "a text that changed")
    }
}
