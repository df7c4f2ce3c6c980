// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import TinySparse
import TinyTraining
import XCTest

/// Models with ternary weights: the reference's bits, damaged files, and files that hold what they say.
final class TernaryModelTests: XCTestCase {
    private func models() throws -> [GoldenModel] {
        try ["tiny-bitnet-ternary", "tiny-relu-ternary"].map { try .init(tiny: $0) }
    }

    func testEveryKernelSetThreadCountAndBlockSizeGivesTheReferencesBits() throws {
        for golden in try models() {
            XCTAssertFalse(golden.model.config.ternary.isEmpty)
            for kernels in kernelSets {
                for threads in 1...3 {
                    for block in TestTier.isFull ? [1, 3, 7, 64, 4096] : [1, 7, 64] {
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
                    for (threads, block) in TestTier.isFull ? [(1, 1), (2, 1), (2, 3), (3, 7), (2, 4096)] : [(2, 3)] {
                        let session = try golden.session(kernels, threads: threads, block: block, sparsity: mask)
                        assertSame(
                            try session.trace(golden.tokens), wanted,
                            "\(golden.name), \(name), \(kernels), \(threads) threads, blocks of \(block)")
                    }
                }
            }
        }
    }

    /// Without this, all the tests above could pass because nothing is compared.
    func testAChangeOfOneWeightOrScaleChangesTheHashes() throws {
        for golden in try models() {
            for role in golden.model.config.ternary.roles {
                for ending in ["weight", "scale"] {
                    let model = try changedModel(golden.path, "blk.1.\(role.rawValue).\(ending)") { bytes in
                        if ending == "scale" {
                            bytes[6] ^= 0x40
                        } else {
                            bytes[2] = bytes[2] & ~3 | (bytes[2] & 3 + 1) % 3
                        }
                    }
                    let trace = try Session(model, .init(threads: 1)).trace(golden.tokens)
                    XCTAssertNotEqual(trace, golden.golden, "\(golden.name), \(role), \(ending) has no effect")
                }
            }
        }
    }

    /// Two bits a weight and a scale a row, in what a token reads as in the file.
    func testSizes() throws {
        let model = try GoldenModel(tiny: "tiny-bitnet-ternary").model
        let layer = model.weights.layers[0]
        XCTAssertEqual(layer.query.rowBytes, 68)
        XCTAssertEqual(layer.down.rowBytes, 132)
        XCTAssertEqual(layer.down.expanded.count, 72 * 330)
        XCTAssertEqual(
            model.bytesPerToken, 2 * ((2 * 72 + 2 * 24 + 2 * 330) * 68 + 72 * 132) + 300 * (128 + 4))
    }

    // MARK: Damage

    private func error(_ bytes: [UInt8], verify: Bool = true) -> FormatError? {
        do {
            _ = try NativeModelFile(image: inMemory(bytes), verify: verify)
            return nil
        } catch { return error as? FormatError }
    }

    func testDamagedFilesAreRefusedByName() throws {
        let good = try MappedFile(path: GoldenModel(tiny: "tiny-bitnet-ternary").path).contents
        XCTAssertNil(error(good))
        let gguf = try GGUF(inMemory(good))
        let index = try XCTUnwrap(gguf.tensors.firstIndex { $0.name == "blk.1.ffn_up.weight" })
        // A 3 with a checksum that fits, and without.
        var bytes = good
        let place = gguf.tensors[index].range.lowerBound + 70
        bytes[place] |= 3 << 4
        XCTAssertEqual(error(bytes)?.kind, .checksum)
        let old = xxHash64(gguf.bytes(of: gguf.tensors[index]))
        let sum = bytes[gguf.tensors[index].range].withUnsafeBytes { xxHash64($0) }
        let at = try XCTUnwrap(good.firstRange(of: withUnsafeBytes(of: old.littleEndian) { Array($0) }))
        bytes.replaceSubrange(at, with: withUnsafeBytes(of: sum.littleEndian) { Array($0) })
        XCTAssertEqual(error(bytes)?.kind, .malformed)
        XCTAssertEqual(error(bytes)?.item, "blk.1.ffn_up.weight")
        XCTAssertEqual(error(bytes)?.offset, place)
        // Unchecked, it does no harm.
        XCTAssertNil(error(bytes, verify: false))
        // A list that says less than the file, one of what cannot be, and one that another one has, too.
        func replaced(_ old: String, _ new: String) throws -> FormatError? {
            var bytes = good
            bytes.replaceSubrange(try XCTUnwrap(good.firstRange(of: Array(old.utf8))), with: Array(new.utf8))
            return error(bytes, verify: false)
        }
        XCTAssertEqual(try replaced("tinysparse.ternary", "tinysparse.ternery")?.kind, .mismatch)
        XCTAssertEqual(try replaced("ffn_gate", "ffn_bate")?.item, "tinysparse.ternary")
        XCTAssertEqual(try replaced("tinysparse.ternary", "tinysparse.fourbit")?.kind, .mismatch)
        var config = try ModelConfig(native: gguf)
        config.fourBit = PackedRoles(.fourBit) { $0 == .down }
        XCTAssertThrowsError(try config.validate(path: "twice")) {
            XCTAssertEqual(($0 as? FormatError)?.item, "tinysparse.ternary")
        }
    }

    func testRandomDamageIsRefusedOrLoads() throws {
        let good = try MappedFile(path: GoldenModel(tiny: "tiny-relu-ternary").path).contents
        let header = try GGUF(inMemory(good)).tensors.map(\.range.lowerBound).min()!
        var random = TestRandom(state: 5)
        var refused = 0
        let count = TestTier.count(4_000)
        for _ in 0..<count {
            var bytes = good
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
