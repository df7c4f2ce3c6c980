// SPDX-License-Identifier: Apache-2.0

import TinySparse
import TinyTraining
import XCTest

/// What the ways to choose neurons and heads promise, beside the bits of a given choice (GoldenTests).
final class SparsityTests: XCTestCase {
    func testAChoiceOfEverythingGivesTheDenseBits() throws {
        for golden in try GoldenModel.tiny() where golden.model.config.predictors.isEmpty {
            // Without predictors every layer is dense, whatever is asked of them.
            for sparsity in [
                SelectionMethod.oracle(keep: 1), .predicted(), .predicted(margin: -100), .keep(1), .keep(0.1),
            ] {
                for block in [1, 7, 128] {
                    assertSame(
                        try golden.session(threads: 2, block: block, sparsity: sparsity).trace(golden.tokens),
                        golden.golden,
                        "\(golden.name), \(sparsity)")
                }
            }
        }
    }

    func testTheOracleChoosesTheSameWhateverTheMachine() throws {
        for golden in try GoldenModel.tiny() where golden.model.config.predictors.isEmpty {
            for share in [0, 0.01, 0.3, 0.9] {
                let wanted = try golden.session("scalar", block: 1, sparsity: .oracle(keep: share)).trace(golden.tokens)
                // Of a ReLU's many zeros all are kept or none, so a large share may be everything.
                if share < 0.5 { XCTAssertNotEqual(wanted, golden.golden, "\(golden.name), \(share)") }
                for kernels in kernelSets {
                    for (threads, block) in [(1, 128), (2, 7), (3, 3)] {
                        let session = try golden.session(
                            kernels, threads: threads, block: block, sparsity: .oracle(keep: share))
                        assertSame(
                            try session.trace(golden.tokens), wanted, "\(golden.name), \(kernels), keep \(share)")
                    }
                }
            }
        }
    }

    func testKeepingNothingIsKeepingEmptyLists() throws {
        for golden in try GoldenModel.tiny() where golden.model.config.predictors.isEmpty {
            let layers = golden.model.config.nLayers
            let none = SelectionMethod.fixed(
                neurons: .init(repeating: [], count: layers), heads: .init(repeating: nil, count: layers))
            assertSame(
                try golden.session(sparsity: .oracle(keep: 0)).trace(golden.tokens),
                try golden.session(block: 1, sparsity: none).trace(golden.tokens), golden.name)
        }
    }

    func testChoicesThatMakeNoSenseAreRefused() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let config = golden.model.config
        let all = [[Int32]?](repeating: nil, count: config.nLayers)
        func with(_ list: [Int32]) -> [[Int32]?] { [list] + all.dropFirst() }
        let bad: [SelectionMethod] = [
            .keep(-0.1), .keep(1.1), .keep(.nan), .oracle(keep: 2), .oracle(keep: .nan), .predicted(margin: .nan),
            .predicted(margin: .infinity), .fixed(neurons: [], heads: all), .fixed(neurons: all, heads: all + [nil]),
            .fixed(neurons: with([3, 2]), heads: all), .fixed(neurons: with([2, 2]), heads: all),
            .fixed(neurons: with([-1]), heads: all), .fixed(neurons: with([Int32(config.dFF)]), heads: all),
            .fixed(neurons: all, heads: with([Int32(config.nHeads)])), .fixed(neurons: all, heads: with([-1, 0])),
        ]
        for sparsity in bad {
            XCTAssertThrowsError(try golden.session(sparsity: sparsity), "\(sparsity)") {
                guard case RuntimeError.badOption = $0 else { return XCTFail("\(sparsity): \($0)") }
            }
        }
        XCTAssertNoThrow(
            try golden.session(sparsity: .fixed(neurons: with([0, Int32(config.dFF) - 1]), heads: with([]))))
    }
}
