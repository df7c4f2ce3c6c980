// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import TinySparse
import XCTest

/// Whole models whose matrices are of one type of block. What the blocks mean is `QuantTests`' matter.
final class BlockFormatTests: XCTestCase {
    /// What a matrix may be stored as: I8 has no scales.
    private static let formats = BlockFormat.allCases.filter { $0 != .i8 }
    private static let (width, heads, vocabulary) = (256, 4, 40)

    private typealias Tensor = TinyModel.Tensor

    /// Random bytes that every format takes for small numbers: the upper bit pair is zero, and none is three.
    private static func bytes(_ format: BlockFormat, _ count: Int) -> [UInt8] {
        let common = (UInt8(0)..<64).filter { byte in (0..<3).allSatisfy { byte >> (2 * $0) & 3 < 3 } }
        var random = TestRandom(state: UInt64(format.rawValue))
        var bytes = (0..<format.byteCount(of: count)!).map { _ in common[Int(random.next() >> 32) % common.count] }
        if format.tailBytes > 0 {
            bytes += withUnsafeBytes(of: Float(0.375), Array.init)
            bytes += [UInt8](repeating: 0xFF, count: format.tailBytes - 4)
        }
        return bytes
    }

    private static func tensors(_ format: BlockFormat) -> [Tensor] {
        let square = bytes(format, width * width)
        let ones = [Float](repeating: 1, count: width).withUnsafeBytes(Array.init)
        func norm(_ name: String) -> Tensor { (name + ".weight", .f32, [width], ones) }
        return [("token_embd.weight", format, [width, vocabulary], bytes(format, width * vocabulary))]
            + [norm("output_norm"), norm("blk.0.attn_norm"), norm("blk.0.ffn_norm")]
            + ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"].map {
                ("blk.0.\($0).weight", format, [width, width], square)
            }
    }

    /// The same tensors as plain floats.
    private static func decoded(_ tensor: Tensor) -> Tensor {
        let (cols, rows) = (tensor.dimensions[0], tensor.dimensions.dropFirst().reduce(1, *))
        let values = [Float](unsafeUninitializedCapacity: rows * cols) { output, count in
            tensor.bytes.withUnsafeBytes { bytes in
                let matrix = EncodedMatrix(format: tensor.format, bytes: bytes.baseAddress!, rows: rows, cols: cols)!
                for row in 0..<rows { matrix.decode(row: row, into: output.baseAddress! + row * cols) }
            }
            count = rows * cols
        }
        return (tensor.name, .f32, tensor.dimensions, values.withUnsafeBytes(Array.init))
    }

    private static func file(_ tensors: [Tensor]) -> [UInt8] {
        TinyModel.gguf(tensors) { writer in
            writer.add("general.architecture", "llama")
            for (key, value) in [
                ("block_count", 1), ("context_length", 16), ("embedding_length", width), ("feed_forward_length", width),
                ("attention.head_count", heads), ("vocab_size", vocabulary),
            ] {
                writer.add("llama." + key, UInt32(value))
            }
            writer.add("llama.attention.layer_norm_rms_epsilon", Float(1e-5))
            TinyModel.spec.write(to: &writer)
        }
    }

    private func message(_ file: [UInt8]) -> String {
        do {
            _ = try nativeImage(GGUF(inMemory(file)))
            return "fine"
        } catch { return "\(error)" }
    }

    func testEveryTypeConvertsAsItsValues() throws {
        XCTAssertEqual(Self.formats.count, 19)
        for format in Self.formats {
            let tensors = Self.tensors(format)
            let image = try nativeImage(GGUF(inMemory(Self.file(tensors))))
            let plain = try nativeImage(GGUF(inMemory(Self.file(tensors.map(Self.decoded)))))
            let model = try Model(NativeModelFile(image: image, verify: true))
            if [.tq1_0, .tq2_0, .i2S].contains(format) {
                // Plain floats are not looked at for that.
                XCTAssertEqual(model.config.ternary.roles.count, 7)
                let values = Self.decoded(try XCTUnwrap(tensors.last)).bytes
                XCTAssertEqual(
                    model.weights.layers[0].down.expanded,
                    values.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) })
            } else {
                XCTAssertTrue(image.contents == plain.contents, format.name)
            }
            // As a model, so that all roles are known to work.
            let session = try Session(model)
            XCTAssertNoThrow(try session.prefill([1, 2, 3]), format.name)
        }
    }

    func testBytesThatAreMissingAreNamed() throws {
        for format in Self.formats {
            var tensors = Self.tensors(format)
            let down = try XCTUnwrap(tensors.last)
            let whole = Self.file(tensors)
            // What follows the last tensor is padding.
            let end = try XCTUnwrap(GGUF(inMemory(whole)).tensors.last).range.upperBound
            let cut = message(Array(whole[..<(end - 1)]))
            XCTAssert(cut.contains(down.name) && cut.contains("the download is incomplete"), "\(format.name): \(cut)")
            guard format.blockLength > 1 else { continue }
            tensors[tensors.count - 1] = (down.name, .f32, [Self.width - 8, 4], [UInt8](repeating: 0, count: 4 * 992))
            var torn = Self.file(tensors)
            let type = try XCTUnwrap(torn.firstRange(of: Array(down.name.utf8))).upperBound + 4 + 16
            torn[type] = UInt8(format.rawValue)
            let row = message(torn)
            XCTAssert(row.contains(down.name), row)
            XCTAssert(row.contains("a row of 248 is not a whole number of \(format.name) blocks"), row)
        }
    }

    func testI2SOfAnotherLayoutIsRefused() throws {
        var tensors = Self.tensors(.i2S)
        let last = tensors.count - 1
        // The last pair of the second row: three is no ternary digit.
        tensors[last].bytes[2 * Self.width / 4 - 1] |= 3
        XCTAssert(message(Self.file(tensors)).contains("blk.0.ffn_down.weight"))
        XCTAssert(message(Self.file(tensors)).contains("row 1 has a weight that is not finite"))
        XCTAssert(message(Self.file(tensors)).contains("another layout of I2_S"))
        tensors = Self.tensors(.i2S)
        tensors[1] = (tensors[1].name, .i2S, [Self.width], Self.bytes(.i2S, Self.width))
        XCTAssert(message(Self.file(tensors)).contains("its type, I2_S, does not fit the shape [256]"))
        tensors = Self.tensors(.i2S)
        for scale in [Float.infinity, .nan] {
            let tail = tensors[last].bytes.count - 32
            withUnsafeBytes(of: scale) { tensors[last].bytes.replaceSubrange(tail..<(tail + 4), with: $0) }
            XCTAssert(message(Self.file(tensors)).contains("row 0 has a weight that is not finite"))
        }
    }
}
