// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// Which tokens the sampler chooses, and how often.
final class SamplerTests: XCTestCase {
    private func sampler(_ change: (inout SamplingOptions) -> Void) throws -> Sampler {
        var options = SamplingOptions()
        options.temperature = 1
        options.topK = 0
        options.topP = 1
        options.minP = 0
        options.seed = 12
        change(&options)
        return try Sampler(options)
    }

    /// How often each token is chosen.
    private func counts(
        _ logits: [Float], _ times: Int = 20_000, history: [Int32] = [],
        _ change: (inout SamplingOptions) -> Void = { _ in }
    ) throws -> [Int] {
        var sampler = try sampler(change)
        var counts = [Int](repeating: 0, count: logits.count)
        for _ in 0..<times { counts[Int(try next(&sampler, logits, history))] += 1 }
        return counts
    }

    private func next(_ sampler: inout Sampler, _ logits: [Float], _ history: [Int32] = []) throws -> Int32 {
        try logits.withUnsafeBufferPointer { try sampler.next($0, history: history) }
    }

    /// Within five standard deviations of the expected numbers.
    private func assertDistribution(_ counts: [Int], _ weights: [Double], line: UInt = #line) {
        let total = Double(counts.reduce(0, +)), sum = weights.reduce(0, +)
        for (i, (count, weight)) in zip(counts, weights).enumerated() {
            let p = weight / sum
            XCTAssertEqual(
                Double(count), total * p, accuracy: 5 * (total * p * (1 - p)).squareRoot() + 1e-9, "token \(i)",
                line: line)
        }
    }

    private let logits: [Float] = [0, 1, 2, -1, 0.5]

    func testTokensAreChosenAsOftenAsTheLogitsSay() throws {
        assertDistribution(try counts(logits), logits.map { exp(Double($0)) })
        assertDistribution(try counts(logits) { $0.temperature = 0.5 }, logits.map { exp(2 * Double($0)) })
        assertDistribution(try counts(logits) { $0.temperature = 4 }, logits.map { exp(Double($0) / 4) })
        assertDistribution(try counts([3, 3, 3, 3]), [1, 1, 1, 1])
    }

    func testTopKKeepsTheMostLikely() throws {
        for k in 2...4 {
            let kept = Set(logits.indices.sorted { logits[$0] > logits[$1] }.prefix(k))
            assertDistribution(
                try counts(logits) { $0.topK = k },
                logits.indices.map { kept.contains($0) ? exp(Double(logits[$0])) : 0 })
        }
        assertDistribution(try counts(logits) { $0.topK = 99 }, logits.map { exp(Double($0)) })
        // Of equals, the lower ids.
        assertDistribution(try counts([1, 1, 1, 1]) { $0.topK = 2 }, [1, 1, 0, 0])
        // Many tokens: the ordered list and the sort keep the same.
        let many = (0..<3000).map { Float(($0 * 7919) % 3000) / 300 }
        for k in [2, 1000, 1024, 1025, 2000] {
            let chosen = try counts(many, TestTier.count(2000)) {
                $0.topK = k; $0.temperature = 50
            }
            let limit = many.sorted(by: >)[k - 1]
            for (i, count) in chosen.enumerated() where many[i] < limit {
                XCTAssertEqual(count, 0, "token \(i) of the top \(k)")
            }
        }
    }

    func testTopPKeepsTheFewestThatTogetherAreLikelyEnough() throws {
        // Probabilities 0.5, 0.3, 0.15, 0.05.
        let some = [0.15, 0.5, 0.05, 0.3].map { Float(log($0)) }
        assertDistribution(try counts(some) { $0.topP = 0.45 }, [0, 1, 0, 0])
        assertDistribution(try counts(some) { $0.topP = 0.55 }, [0, 0.5, 0, 0.3])
        assertDistribution(try counts(some) { $0.topP = 0.79 }, [0, 0.5, 0, 0.3])
        assertDistribution(try counts(some) { $0.topP = 0.81 }, [0.15, 0.5, 0, 0.3])
        assertDistribution(try counts(some) { $0.topP = 1e-6 }, [0, 1, 0, 0])
    }

    func testMinPDropsTheUnlikelyInProportionToTheMostLikely() throws {
        let some = [0.15, 0.5, 0.05, 0.3].map { Float(log($0)) }
        assertDistribution(try counts(some) { $0.minP = 0.09 }, [0.15, 0.5, 0.05, 0.3])
        assertDistribution(try counts(some) { $0.minP = 0.11 }, [0.15, 0.5, 0, 0.3])
        assertDistribution(try counts(some) { $0.minP = 0.31 }, [0, 0.5, 0, 0.3])
        assertDistribution(try counts(some) { $0.minP = 1 }, [0, 1, 0, 0])
    }

    func testTheRepeatPenaltyWeakensTokensOfTheWindowOnly() throws {
        let some: [Float] = [2, -1, 1, 0.5]
        let weights = { (l: [Double]) in l.map { exp($0) } }
        let plain = weights([2, -1, 1, 0.5])
        assertDistribution(try counts(some, history: [0, 1]) { $0.repeatPenalty = 2 }, weights([1, -2, 1, 0.5]))
        assertDistribution(
            try counts(some, history: [0, 1, 3, 3]) {
                $0.repeatPenalty = 2; $0.repeatWindow = 2
            }, weights([2, -1, 1, 0.25]))
        assertDistribution(
            try counts(some, history: [0, 1]) {
                $0.repeatPenalty = 2; $0.repeatWindow = 0
            }, plain)
        assertDistribution(try counts(some, history: [0, 1]), plain)
        // Greedy choice heeds it too.
        var greedy = try sampler {
            $0.temperature = 0; $0.repeatPenalty = 3
        }
        XCTAssertEqual(try next(&greedy, some, [0]), 2)
        XCTAssertEqual(try next(&greedy, some, []), 0)
    }

    func testTemperatureZeroAndTopOneTakeTheFirstOfTheMostLikely() throws {
        for change in [{ $0.temperature = 0 }, { $0.topK = 1 }] as [(inout SamplingOptions) -> Void] {
            var sampler = try sampler(change)
            XCTAssertEqual(try next(&sampler, [1, 5, 5, -3]), 1)
            XCTAssertEqual(try next(&sampler, [-1, -5]), 0)
            XCTAssertEqual(try next(&sampler, [7]), 0)
        }
        XCTAssertEqual(SamplingOptions.greedy.temperature, 0)
    }

    func testTheSameSeedChoosesTheSameTokens() throws {
        func run(_ seed: UInt64) throws -> [Int32] {
            var sampler = try sampler { $0.seed = seed }
            return try (0..<50).map { _ in try next(&sampler, logits) }
        }
        XCTAssertEqual(try run(1), try run(1))
        XCTAssertNotEqual(try run(1), try run(2))
    }

    func testLogitsThatAreNotFiniteAreAnErrorAndNoToken() throws {
        for bad in [Float.nan, .infinity, -.infinity] {
            for at in 0..<3 {
                var some: [Float] = [1, 2, 3]
                some[at] = bad
                for temperature: Float in [0, 1] {
                    var sampler = try sampler { $0.temperature = temperature }
                    XCTAssertThrowsError(try next(&sampler, some, [4, 5])) {
                        XCTAssertEqual($0 as? RuntimeError, .nonFiniteLogits(position: 1))
                    }
                }
            }
        }
    }

    func testExtremeLogitsAndTemperaturesChooseSomething() throws {
        let greatest = Float.greatestFiniteMagnitude
        for temperature: Float in [1e-30, 1e-3, 1, 100] {
            var sampler = try sampler { $0.temperature = temperature }
            XCTAssertEqual(try next(&sampler, [-greatest, greatest, 0]), 1)
            _ = try next(&sampler, [0, 0, 0])
            _ = try next(&sampler, [-greatest, -greatest])
        }
    }

    /// At both ends of every option's range, with logits as large as can be, penalties included.
    func testOptionsAtTheirLimitsChooseSomething() throws {
        let greatest = Float.greatestFiniteMagnitude, least = Float.leastNonzeroMagnitude
        for logits in [[3, -3, 1e-3, 0], [greatest, -greatest, 1, -1], [least, -least, 0, 0]] as [[Float]] {
            for penalty: Float in [least, 1e-38, 1, 100] {
                for temperature: Float in [0, least, 1e-38, 100] {
                    for (topK, topP, minP): (Int, Float, Float) in [
                        (0, 1, 0), (1, 1, 0), (2, least, 1), (3, 1, least), (Int.max, 0.5, 1),
                    ] {
                        var sampler = try sampler {
                            ($0.repeatPenalty, $0.temperature) = (penalty, temperature)
                            ($0.topK, $0.topP, $0.minP) = (topK, topP, minP)
                            $0.repeatWindow = Int.max
                        }
                        for _ in 0..<3 { XCTAssert((0..<4).contains(try next(&sampler, logits, [0, 1, 2]))) }
                    }
                }
            }
        }
    }

    func testTheExponentialIsTotal() {
        XCTAssert(Double64.exp(.nan).isNaN)
        XCTAssertEqual([Double64.exp(.infinity), Double64.exp(1e9)], [.infinity, .infinity])
        XCTAssertEqual([Double64.exp(-.infinity), Double64.exp(-1e9)], [0, 0])
        XCTAssertEqual(Double64.exp(699), exp(699), accuracy: exp(699) * 1e-13)
        for angle in [Double.nan, .infinity, -1e300] { XCTAssert(Double64.sinCos(angle).sin.isNaN) }
    }

    func testOptionsOutOfRangeAreRefused() {
        let changes: [(inout SamplingOptions) -> Void] = [
            { $0.temperature = -1 }, { $0.temperature = .nan }, { $0.temperature = .infinity }, { $0.topK = -1 },
            { $0.topP = 0 }, { $0.topP = 1.1 }, { $0.topP = .nan }, { $0.minP = -0.1 }, { $0.minP = 1.1 },
            { $0.minP = .nan },
            { $0.repeatPenalty = 0 }, { $0.repeatPenalty = .nan }, { $0.repeatPenalty = 101 }, { $0.repeatWindow = -1 },
        ]
        for (i, change) in changes.enumerated() {
            XCTAssertThrowsError(try sampler(change), "change \(i)") {
                guard case RuntimeError.badOption = $0 else { return XCTFail("\($0)") }
            }
        }
    }
}
