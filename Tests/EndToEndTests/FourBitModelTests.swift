// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import SIMDKernels
import TinySparse
import TinyTraining
import XCTest

/// Models with 4-bit weights: the reference's bits, and files that hold what they say.
final class FourBitModelTests: XCTestCase {
    private func models() throws -> [GoldenModel] {
        try ["tiny-llama-w4", "tiny-opt-w4", "tiny-llama-relu-w4"].map { try .init(tiny: $0) }
    }

    /// Where zeros or predictors name neurons, the rows of neurons are read one by one, and have eight bits; gates whose
    /// zeros name them are read in full.
    func testWhatHasFourBits() throws {
        func roles(_ name: String) throws -> [TensorRole] {
            PackedRoles(.w4, try GoldenModel(tiny: name).model.config).roles
        }
        let attention: [TensorRole] = [.query, .key, .value, .attentionOutput]
        XCTAssertEqual(try roles("tiny-llama"), attention + [.up, .gate, .down])
        XCTAssertEqual(try roles("tiny-llama-relu"), attention + [.gate])
        XCTAssertEqual(try roles("tiny-fatrelu"), attention, "its predictors name neurons")
        XCTAssertEqual(try roles("tiny-opt"), attention)
        XCTAssertEqual(try roles("tiny-experts"), attention)
        XCTAssertEqual(try roles("tiny-bitnet-w4"), attention + [.up, .gate, .down], "its norm needs all neurons")
    }

    func testPredictorsOfSingleNeuronsAreRefusedWhereGatesHaveFourBits() throws {
        var options = PredictorOptions()
        options.rank = 4
        XCTAssertThrowsError(
            try PredictorTraining(
                try GoldenModel(tiny: "tiny-llama-relu-w4").model, text: Array("a text".utf8), options,
                statePath: "/none", report: { _ in true })
        ) { XCTAssertTrue("\($0)".contains("--group 16"), "\($0)") }
    }

    func testEveryKernelSetThreadCountAndBlockSizeGivesTheReferencesBits() throws {
        for golden in try models() {
            XCTAssertFalse(golden.model.config.fourBit.isEmpty)
            for kernels in kernelSets {
                for threads in 1...3 {
                    for block in [1, 3, 7, 64, 4096] {
                        assertSame(
                            try golden.session(kernels, threads: threads, block: block).trace(golden.tokens),
                            golden.golden,
                            "\(golden.name), \(kernels), \(threads) threads, blocks of \(block)")
                    }
                }
            }
        }
    }

    func testSparseLayersGiveTheReferencesBitsToo() throws {
        for golden in try models() {
            for name in ["sparse", "edge"] {
                let (mask, wanted) = try golden.sparse(name)
                XCTAssertNotEqual(wanted, golden.golden)
                for kernels in kernelSets {
                    for (threads, block) in [(1, 1), (2, 1), (2, 3), (3, 7), (2, 4096)] {
                        let session = try golden.session(kernels, threads: threads, block: block, sparsity: mask)
                        assertSame(
                            try session.trace(golden.tokens), wanted,
                            "\(golden.name), \(name), \(kernels), \(threads) threads, blocks of \(block)")
                    }
                }
            }
        }
    }

    func testReadingInTwoCallsGivesTheSameBits() throws {
        for golden in try models() {
            let session = try golden.session(threads: 2)
            for cut in stride(from: 1, to: golden.tokens.count, by: 5) {
                session.rewind(to: 0)
                try session.evaluate(golden.tokens[..<cut])
                XCTAssertEqual(session.logitsHash, golden.golden.logits[cut - 1], "\(golden.name), cut at \(cut)")
                let rest = try session.trace(Array(golden.tokens[cut...]))
                XCTAssertEqual(rest.logits, Array(golden.golden.logits[cut...]), "\(golden.name), cut at \(cut)")
            }
        }
    }

    /// Without this, all the tests above could pass because nothing is compared.
    func testAChangeOfOneWeightOrScaleChangesTheHashes() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-w4")
        for tensor in try GGUF(MappedFile(path: golden.path)).tensors where tensor.format == .i8 {
            let token = Int(golden.tokens[5])
            let (block, row) = tensor.name.hasPrefix("token_embd") ? (token / 16, token % 16) : (0, 3)
            for place in [2 * row + 1, 33 + 2 * row, 64 + 4 * row] {
                let model = try changedModel(golden.path, tensor.name) { bytes in
                    bytes[block * tensor.dimensions[0] + place] ^= 0x07
                }
                let trace = try Session(model, .init(threads: 1)).trace(golden.tokens)
                XCTAssertNotEqual(trace, golden.golden, "\(tensor.name), byte \(place) has no effect")
            }
        }
    }

    func testConvertedModelsRunAlikeEverywhereAndSayWhatTheyAre() throws {
        let directory = TemporaryDirectory()
        let llama = directory.write(TinyModel.llama(), "llama.gguf")
        TinyModel.writeOPT(to: directory)
        for (source, kinds) in [
            (llama, ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down"]),
            (directory.path, ["attn_q", "attn_k", "attn_v", "attn_output"]),  // relu
        ] {
            for format in [WeightFormat.w4, .w4all] {
                let native = directory.path + "/native.gguf"
                try convert(source, to: native, weights: format)
                let file = try NativeModelFile(path: native)
                let all = format == .w4all
                let isTied = file.config.tiedHead
                XCTAssertEqual(
                    Set(file.config.fourBit.roles.map(\.rawValue)), Set(kinds + (all ? ["token_embd", "output"] : [])))
                XCTAssertEqual(file.fourBitMatrix("output") != nil, all)
                XCTAssertEqual(
                    file.fourBitMatrix("output")?.blocks == file.fourBitMatrix("token_embd")?.blocks, isTied || !all)
                XCTAssertThrowsError(try file.matrix("blk.0.attn_q"))
                let model = try Model(file)
                let tokens = (0..<16).map { Int32($0 * 7 % file.config.vocabularySize) }
                let wanted = try Session(model, .init(threads: 1, blockSize: 1, kernels: "scalar")).trace(tokens)
                for kernels in kernelSets {
                    for (threads, block) in [(1, 1), (2, 5), (3, 64)] {
                        let session = try Session(model, .init(threads: threads, blockSize: block, kernels: kernels))
                        assertSame(
                            try session.trace(tokens), wanted, "\(source) \(format), \(kernels), blocks of \(block)")
                    }
                }
            }
        }
    }

    func testDamagedFilesAreRefusedOrLoad() throws {
        let good = try MappedFile(path: GoldenModel(tiny: "tiny-llama-w4").path).contents
        let tensors = try GGUF(inMemory(good)).tensors
        let blocks = try XCTUnwrap(tensors.first { $0.name == "blk.0.attn_q.weight" }).range
        func error(_ change: (inout [UInt8]) -> Void) -> FormatError? {
            var bytes = good
            change(&bytes)
            do {
                _ = try NativeModelFile(image: inMemory(bytes), verify: false)
                return nil
            } catch { return error as? FormatError }
        }
        XCTAssertNil(error { _ in })
        // Any nibble is a weight, but a scale is a number.
        XCTAssertNil(error { $0[blocks.lowerBound + 64] = 0x80 })
        let bad = error { $0[blocks.lowerBound + 320 + 33] = 0x7C }
        XCTAssertEqual(bad?.kind, .notFinite)
        XCTAssertEqual(bad?.item, "blk.0.attn_q.weight")
        XCTAssertEqual(bad?.offset, blocks.lowerBound + 320)
        // A list that names what it cannot, and one that names less than there is.
        let name = try XCTUnwrap(good.firstRange(of: Array("ffn_gate".utf8)))
        XCTAssertEqual(error { $0.replaceSubrange(name, with: Array("ffn_bate".utf8)) }?.item, "tinysparse.four_bit")
        let key = try XCTUnwrap(good.firstRange(of: Array("tinysparse.four_bit".utf8)))
        XCTAssertEqual(error { $0.replaceSubrange(key, with: Array("tinysparse.four_bat".utf8)) }?.kind, .mismatch)

        var random = TestRandom(state: 4)
        var refused = 0
        let count = TestTier.count(4_000)
        for _ in 0..<count {
            var bytes = good
            let header = tensors.map(\.range.lowerBound).min()!
            let end = Bool.random(using: &random) ? header : bytes.count
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<end, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            do {
                let file = try NativeModelFile(image: inMemory(bytes), verify: false)
                let session = try Session(Model(file), .init(threads: 1, context: 8))
                try session.evaluate([1, 2, 3, 4, 5])
            } catch is FormatError { refused += 1 } catch is TokenizerError { refused += 1 } catch is RuntimeError {
                refused += 1
            }
        }
        XCTAssertGreaterThan(refused, count / 40)
    }
}
