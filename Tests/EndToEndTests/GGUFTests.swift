// SPDX-License-Identifier: Apache-2.0

import Quant
import TinySparse
import XCTest

final class GGUFTests: XCTestCase {
    func testReadsWhatTheWriterWrote() throws {
        let tensors = TinyModel.llamaTensors()
        for (alignment, version) in [(32, UInt8(3)), (64, 3), (8, 2)] {
            let bytes = TinyModel.gguf(tensors, alignment: alignment, version: version)
            let gguf = try GGUF(inMemory(bytes))
            XCTAssertEqual(gguf.version, UInt32(version))
            XCTAssertEqual(gguf.alignment, alignment)
            XCTAssertEqual(gguf.tensors.map(\.name), tensors.map(\.name))
            for tensor in tensors {
                let read = try XCTUnwrap(gguf.tensor(tensor.name))
                XCTAssertEqual(read.format, tensor.format)
                XCTAssertEqual(read.dimensions, tensor.dimensions)
                XCTAssertEqual(read.range.lowerBound % alignment, 0)
                XCTAssertEqual([UInt8](gguf.bytes(of: read)), tensor.bytes)
            }
            XCTAssertEqual(try gguf.string("general.name"), "Tiny")
            XCTAssertEqual(try gguf.integer("llama.block_count"), TinyModel.layers)
            XCTAssertEqual(try gguf.double("llama.rope.freq_base"), 500)
            XCTAssertNil(try gguf.optionalString("nothing"))
        }
    }

    func testVocabularySurvives() throws {
        let gguf = try GGUF(inMemory(TinyModel.llama()))
        assertEqual(try TokenizerSpec(gguf: gguf), TinyModel.spec)
    }

    func testConfiguration() throws {
        let config = try SourceConfig(gguf: GGUFParts(GGUF(inMemory(TinyModel.llama())))).config
        XCTAssertEqual(config.architecture, "llama")
        XCTAssertEqual(config.headDim, TinyModel.headDim)
        XCTAssertEqual(config.nKVHeads, TinyModel.kvHeads)
        XCTAssertEqual(
            config.positions, .rope(RotaryEmbedding(base: 500, dims: TinyModel.headDim)))
        XCTAssertTrue(config.tiedHead)
    }

    func testAbsurdConfigurationsAreErrors() throws {
        let cases: [(String, UInt32)] = [
            ("block_count", 0), ("block_count", 2_000_000), ("context_length", .max),
            ("embedding_length", 1 << 30), ("feed_forward_length", 0), ("attention.head_count", 0),
            ("attention.head_count", 5), ("attention.head_count_kv", 3), ("vocab_size", 0),
            ("attention.key_length", 7), ("expert_count", 8), ("rope.dimension_count", 4),
        ]
        for (key, value) in cases {
            let bytes = try changed("llama." + key, to: value)
            XCTAssertThrowsError(try SourceConfig(gguf: GGUFParts(GGUF(inMemory(bytes)))), key) {
                XCTAssertTrue($0 is FormatError, "\($0)")
            }
        }
    }

    func testOtherArchitecturesAreNamed() {
        let bytes = TinyModel.gguf([]) { $0.add("general.architecture", "mamba") }
        XCTAssertThrowsError(try SourceConfig(gguf: GGUFParts(GGUF(inMemory(bytes))))) {
            let text = "\($0)"
            XCTAssertTrue(text.contains("mamba") && text.contains("llama, ") && text.contains("opt, "), text)
        }
    }

    func testErrorsSayWhatAndWhere() {
        func check(_ bytes: [UInt8], _ kind: FormatError.Kind, _ words: String...) {
            XCTAssertThrowsError(try GGUF(inMemory(bytes))) { error in
                XCTAssertEqual((error as? FormatError)?.kind, kind, "\(error)")
                for word in words { XCTAssertTrue("\(error)".contains(word), "\(error)") }
            }
        }
        let good = TinyModel.llama()
        check(Array("GGML".utf8) + good[4...], .malformed, "GGUF", "byte 0")
        check(Array(good[..<4]) + [0, 0, 0, 3] + good[8...], .unsupported, "big-endian", "byte 4")
        check(Array(good[..<4]) + [1, 0, 0, 0] + good[8...], .unsupported, "version 1")
        check(Array(good[..<12]), .truncated)
        check(Array(good.dropLast(64)), .truncated, "output_norm.weight", "get it again")
        let huge = [UInt8](repeating: 0xff, count: 8)
        check(Array(good[..<8]) + huge + good[16...], .truncated, "number of tensors", "byte 8")
        check(Array(good[..<16]) + huge + good[24...], .truncated, "metadata keys", "byte 16")
        let twice = TinyModel.gguf([]) {
            $0.add("a.b", true)
            $0.add("a.b", true)
        }
        check(twice, .malformed, "a.b", "twice")
        let tensor = TinyModel.llamaTensors()[0]
        check(TinyModel.gguf([tensor, tensor]), .malformed, "token_embd.weight", "twice")
    }

    func testMappedFileRefusesWhatIsNoFile() {
        let directory = TemporaryDirectory()
        let cases = [
            (directory.path, "directory"), (directory.write([], "empty"), "empty"),
            (directory.path + "/none", "No such file"), ("/dev/null", "regular"),
        ]
        for (path, word) in cases {
            XCTAssertThrowsError(try MappedFile(path: path)) {
                XCTAssertTrue("\($0)".contains(word), "\($0)")
            }
        }
    }

    /// Vectors from the xxHash specification's reference implementation.
    func testXXHash64() {
        func hash(_ bytes: [UInt8], _ seed: UInt64 = 0) -> UInt64 {
            bytes.withUnsafeBytes { xxHash64($0, seed: seed) }
        }
        XCTAssertEqual(hash([]), 0xef46_db37_51d8_e999)
        XCTAssertEqual(hash(Array("a".utf8)), 0xd24e_c4f1_a98c_6e5b)
        XCTAssertEqual(hash(Array("abc".utf8)), 0x44bc_2cf5_ad77_0999)
        XCTAssertEqual(
            hash(Array("Nobody inspects the spammish repetition".utf8)), 0xfbce_a83c_8a37_8bf1)
        XCTAssertEqual(hash(Array(0...255)), 0x1fac_be84_06cd_904b)
        XCTAssertEqual(hash(Array(0...100), 2_654_435_761), 0xa1c6_d417_4c37_136d)
        // All lengths up to 199 folded into one number.
        var folded: UInt64 = 0
        for n in 0..<200 {
            let bytes = (0..<n).map { UInt8(truncatingIfNeeded: $0 * 7 + n) }
            folded = folded &* 31 &+ hash(bytes, UInt64(n))
        }
        XCTAssertEqual(folded, 0x8dd8_5384_0a7e_fdfe)
        // No alignment is needed.
        ([0] + Array("abc".utf8)).withUnsafeBytes {
            XCTAssertEqual(
                xxHash64(UnsafeRawBufferPointer(rebasing: $0[1...])), 0x44bc_2cf5_ad77_0999)
        }
    }

    func testXXHash64IsFast() {
        let bytes = [UInt8](repeating: 7, count: 1 << 26)
        var best = Double.infinity
        for _ in 0..<5 {
            let start = ContinuousClock.now
            _ = bytes.withUnsafeBytes { xxHash64($0) }
            let time = (ContinuousClock.now - start) / .seconds(1)
            best = min(best, time)
        }
        print("xxHash64: \(Double(bytes.count) / best / 1e9) GB/s")
    }

    /// The tiny llama with the integer `key` changed, or added at the end.
    private func changed(_ key: String, to value: UInt32) throws -> [UInt8] {
        var bytes = TinyModel.llama()
        let gguf = try GGUF(inMemory(bytes))
        guard let entry = gguf.entry(key) else {
            return TinyModel.gguf(TinyModel.llamaTensors()) {
                TinyModel.llamaMetadata(&$0)
                $0.add(key, value)
            }
        }
        withUnsafeBytes(of: value) { bytes.replaceSubrange(entry.range, with: $0) }
        return bytes
    }
}

func assertEqual(
    _ a: TokenizerSpec, _ b: TokenizerSpec, file: StaticString = #filePath, line: UInt = #line
) {
    // Both print all their fields.
    XCTAssertEqual("\(a)", "\(b)", file: file, line: line)
}
