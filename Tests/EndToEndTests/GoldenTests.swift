// SPDX-License-Identifier: Apache-2.0

import TinySparse
import TinyTraining
import XCTest

/// The runtime gives the bits of the independent reference on every committed tiny model.
final class GoldenTests: XCTestCase {
    func testEveryKernelSetThreadCountAndBlockSizeGivesTheReferencesBits() throws {
        for golden in try GoldenModel.tiny() + GoldenModel.experts() {
            for kernels in kernelSets {
                for threads in 1...3 {
                    for block in [1, 7, 64, 4096] {
                        let session = try golden.session(kernels, threads: threads, block: block)
                        XCTAssertEqual(session.kernelName, kernels)
                        assertSame(
                            try session.trace(golden.tokens), golden.golden,
                            "\(golden.name), \(kernels), \(threads) threads, blocks of \(block)")
                        XCTAssertEqual(session.logitsHash, golden.golden.logits.last)
                    }
                }
            }
        }
    }

    /// A session that cannot hold more than the original context rotates by the short factors.
    func testLongRopeFollowsTheContextOfTheSession() throws {
        let golden = try GoldenModel(tiny: "tiny-longrope")
        let short = try Trace(
            hashes: packageFolder.path + "/Tests/EndToEndTests/Reference/fixtures/tiny-longrope.short.hashes.txt")
        XCTAssertNotEqual(short, golden.golden)
        for kernels in kernelSets {
            assertSame(
                try golden.session(kernels, threads: 2, context: 72).trace(golden.tokens), short, "\(kernels), short")
        }
    }

    func testSparseLayersGiveTheReferencesBitsToo() throws {
        for golden in try GoldenModel.tiny() {
            for name in ["sparse", "edge"] {
                let (mask, wanted) = try golden.sparse(name)
                XCTAssertNotEqual(wanted, golden.golden)
                for kernels in kernelSets {
                    for threads in 1...3 {
                        for block in [1, 3, 7, 64, 4096] {
                            let session = try golden.session(kernels, threads: threads, block: block, sparsity: mask)
                            assertSame(
                                try session.trace(golden.tokens), wanted,
                                "\(golden.name), \(name), \(kernels), \(threads) threads, blocks of \(block)")
                        }
                    }
                }
            }
        }
    }

    func testAListOfAllNeuronsAndHeadsGivesTheDenseBits() throws {
        for golden in try GoldenModel.tiny() {
            let config = golden.model.config
            let neurons = [[Int32]?](repeating: (0..<Int32(config.dFF)).map { $0 }, count: config.nLayers)
            let heads = [[Int32]?](repeating: (0..<Int32(config.nHeads)).map { $0 }, count: config.nLayers)
            for kernels in kernelSets {
                for block in [1, 64] {
                    let session = try golden.session(
                        kernels, threads: 2, block: block, sparsity: .fixed(neurons: neurons, heads: heads))
                    assertSame(
                        try session.trace(golden.tokens), golden.golden, "\(golden.name), \(kernels), all listed")
                }
            }
        }
    }

    func testReadingInTwoCallsGivesTheSameBitsWhereverTheCutIs() throws {
        for golden in try GoldenModel.tiny() + GoldenModel.experts() {
            for kernels in kernelSets {
                let session = try golden.session(kernels, threads: 2)
                for cut in 1..<golden.tokens.count {
                    session.rewind(to: 0)
                    try session.evaluate(golden.tokens[..<cut])
                    XCTAssertEqual(
                        session.logitsHash, golden.golden.logits[cut - 1], "\(golden.name), \(kernels), cut at \(cut)")
                    let rest = try session.trace(Array(golden.tokens[cut...]))
                    XCTAssertEqual(
                        rest.logits, Array(golden.golden.logits[cut...]), "\(golden.name), \(kernels), cut at \(cut)")
                    XCTAssertEqual(
                        rest.layers, Array(golden.golden.layers[cut...]), "\(golden.name), \(kernels), cut at \(cut)")
                }
            }
        }
    }

    func testReadingAgainAfterARewindGivesTheSameBits() throws {
        for golden in try GoldenModel.tiny() + GoldenModel.experts() {
            let session = try golden.session(threads: 2, block: 16)
            try session.evaluate(golden.tokens)
            for count in [0, 1, 15, 16, 17, 40, golden.tokens.count - 1] {
                session.rewind(to: count)
                XCTAssertEqual(session.tokens, Array(golden.tokens[..<count]))
                // Something else in between leaves no trace.
                let others = golden.tokens[count...].reversed()
                try session.evaluate(others)
                session.rewind(to: count)
                let rest = try session.trace(Array(golden.tokens[count...]))
                XCTAssertEqual(
                    rest.logits, Array(golden.golden.logits[count...]), "\(golden.name), rewound to \(count)")
            }
            session.rewind(to: 1_000)
            XCTAssertEqual(session.tokens, golden.tokens)
            session.rewind(to: -1)
            XCTAssertEqual(session.tokens, [])
        }
    }

    func testLogitsFromAPositionOnAreThoseOfThatPosition() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        for block in [1, 7, 128] {
            let session = try golden.session(block: block)
            for first in [0, 1, 6, 7, 8, 50, golden.tokens.count - 1, golden.tokens.count] {
                session.rewind(to: 0)
                var seen: [UInt64] = []
                try session.evaluate(golden.tokens, logitsFrom: first) { position, logits in
                    XCTAssertEqual(position, first + seen.count)
                    seen.append(hash(logits))
                }
                XCTAssertEqual(seen, Array(golden.golden.logits[first...]), "from \(first), blocks of \(block)")
                XCTAssertEqual(session.logitsHash, golden.golden.logits.last)
            }
        }
    }

    /// Without this, all the tests above could pass because nothing is compared.
    func testAChangeOfOneWeightInAnyTensorChangesTheHashes() throws {
        for name in ["tiny-llama", "tiny-opt"] {
            let golden = try GoldenModel(tiny: name)
            let gguf = try GGUF(MappedFile(path: golden.path))
            XCTAssertGreaterThan(gguf.tensors.count, 20)
            for tensor in gguf.tensors {
                let stride = tensor.dimensions[0]
                let isInt8 = !tensor.name.hasSuffix(".scale") && tensor.format == .i8
                let row =
                    tensor.name.hasPrefix("token_embd") ? Int(golden.tokens[5]) : tensor.dimensions.count > 1 ? 3 : 0
                let model = try changedModel(golden.path, tensor.name) { bytes in
                    if isInt8 {
                        let w = bytes.bindMemory(to: Int8.self)
                        w[row * stride + 5] = w[row * stride + 5] > 0 ? -100 : 100
                    } else {
                        let w = bytes.bindMemory(to: Float.self)
                        w[
                            tensor.dimensions.count > 1
                                ? row * stride + 5 : tensor.name.hasPrefix("token_embd") ? row : 5] += 0.5
                    }
                }
                let trace = try Session(model, .init(threads: 1)).trace(golden.tokens)
                XCTAssertNotEqual(trace, golden.golden, "\(name): \(tensor.name) has no effect")
            }
        }
    }
}

/// The functions that kernels have no part in give the bits of the reference.
final class GoldenFunctionTests: XCTestCase {
    func testDoubleFunctionsGiveTheReferencesBits() throws {
        var file = try GoldenFile("double_ln")
        assertSame(file.doubles().map(Double64.ln), file.doubles(), "ln")
        file = try GoldenFile("double_exp")
        assertSame(file.doubles().map(Double64.exp), file.doubles(), "exp")
        file = try GoldenFile("double_sin_cos")
        let pairs = file.doubles().map(Double64.sinCos)
        assertSame(pairs.map(\.sin), file.doubles(), "sin")
        assertSame(pairs.map(\.cos), file.doubles(), "cos")
    }

    private func assertSame(_ got: [Double], _ wanted: [Double], _ what: String) {
        XCTAssertGreaterThan(wanted.count, 0)
        XCTAssertEqual(got.map(\.bitPattern), wanted.map(\.bitPattern), what)
    }

    func testRotaryTablesHaveTheReferencesBits() throws {
        var file = try GoldenFile("rope_table")
        while file.hasMore {
            let numbers = file.doubles(), shape = file.ints(), factors = file.floats()
            let cosines = file.floats(), sines = file.floats()
            let position = shape[1]
            // The table holds every position up to the last, and the far ones would take minutes.
            guard position <= 4095 else { continue }
            var rope = RotaryEmbedding(base: numbers[0], scaling: numbers[1], dims: shape[0], factors: factors)
            if numbers.count > 2 { rope.magnitude = numbers[2] }
            let table = try RotaryTable(rope, positions: position + 1)
            table.fill(upTo: position + 1)
            for i in cosines.indices {
                XCTAssertEqual(
                    table.cosines(at: position)[i].bitPattern, cosines[i].bitPattern, "cos \(numbers) \(shape) \(i)")
                XCTAssertEqual(
                    table.sines(at: position)[i].bitPattern, sines[i].bitPattern, "sin \(numbers) \(shape) \(i)")
            }
        }
    }

    func testChecksumsAreThoseOfTheReference() throws {
        var file = try GoldenFile("xxhash64")
        while file.hasMore {
            let bytes = file.bytes(), wanted = file.uint64s()[0]
            XCTAssertEqual(bytes.withUnsafeBytes { xxHash64($0) }, wanted, "\(bytes.count) bytes")
        }
    }
}
