// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import SIMDKernels
import TinySparse
import XCTest

/// Source checkpoints whose matrices are ternary are stored so, and hold the same numbers.
final class TernaryConversionTests: XCTestCase {
    private let directory = TemporaryDirectory()
    private static let all: [TensorRole] = [.query, .key, .value, .attentionOutput, .up, .gate, .down]

    // MARK: Hugging Face folders

    /// The files of a case of `Families`.
    private func files(_ name: String) throws -> [String: [UInt8]] {
        let families = packageFolder.path + "/Tests/EndToEndTests/Families/"
        return try [
            "config.json": "\(name)/config.json", "model.safetensors": "\(name)/model.safetensors",
            "tokenizer.json": "tokenizer.json",
        ].mapValues { [UInt8](try Data(contentsOf: URL(fileURLWithPath: families + $0))) }
    }

    private func native(_ files: [String: [UInt8]], _ weights: WeightFormat = .int8) throws -> NativeModelFile {
        for (name, bytes) in files { _ = directory.write(bytes, name) }
        try convert(directory.path, to: directory.path + "/native.gguf", weights: weights)
        return try NativeModelFile(path: directory.path + "/native.gguf")
    }

    func testPackedFoldersKeepTheirNumbers() throws {
        for (name, isInverse) in [("bitnet-packed", false), ("bitnet-packed-inverse", true)] {
            let files = try files(name), file = try native(files)
            XCTAssertEqual(file.config.ternary.roles, Self.all)
            let source = try SafetensorsModel(path: directory.path + "/model.safetensors")
            for (role, part) in [(TensorRole.query, "self_attn.q_proj"), (.down, "mlp.down_proj")] {
                let (shard, packed) = try XCTUnwrap(source.tensor("model.layers.1.\(part).weight"))
                let bytes = Array(shard.bytes(of: packed)), cols = packed.shape[1]
                guard case .ternary(let matrix) = try file.tensor(TensorID(role, 1)) else {
                    XCTFail("\(role) is not ternary")
                    continue
                }
                XCTAssertEqual(matrix.rows * matrix.cols, 4 * bytes.count)
                let rows = TernaryRows(weights: matrix.weights, stride: matrix.stride, scales: matrix.scales)
                let packedRows = matrix.rows / 4
                for r in 0..<matrix.rows {
                    for c in 0..<cols {
                        let wanted = Int(bytes[r % packedRows * cols + c] >> (2 * (r / packedRows)) & 3) - 1
                        XCTAssertEqual(rows.weight(r, c), wanted, "\(role), \(r), \(c)")
                    }
                }
                let (scaleShard, scale) = try XCTUnwrap(source.tensor("model.layers.1.\(part).weight_scale"))
                var value: Float = 0
                decodeRow(scale.format!, from: scaleShard.bytes(of: scale).baseAddress!, count: 1, into: &value)
                // Rows of zeros alone have no scale.
                let scales = Set((0..<matrix.rows).map { matrix.scales[$0] }).subtracting([0])
                XCTAssertEqual(scales, [isInverse ? 1 / value : value])
            }
        }
    }

    func testFoldersOfFloatsAreTernaryIfTheirConfigurationSaysSo() throws {
        XCTAssertEqual(try native(files("bitnet-online")).config.ternary.roles, Self.all)
        XCTAssertEqual(try native(files("bitnet-plain")).config.ternary.roles, [])
        // As 4-bit weights they would be larger.
        let file = try native(files("bitnet-online"), .w4all)
        XCTAssertEqual(file.config.ternary.roles, Self.all)
        XCTAssertEqual(file.config.fourBit.roles.map(\.rawValue), ["token_embd", "output"])
        XCTAssertNoThrow(try Session(Model(file)).prefill([1, 2, 3]))
    }

    func testAPackedThreeIsRefusedByName() throws {
        var files = try files("bitnet-packed")
        _ = directory.write(files["model.safetensors"]!, "model.safetensors")
        let source = try SafetensorsModel(path: directory.path + "/model.safetensors")
        let name = "model.layers.0.mlp.up_proj.weight"
        let (_, tensor) = try XCTUnwrap(source.tensor(name))
        files["model.safetensors"]![tensor.range.lowerBound + 5] |= 3
        XCTAssertThrowsError(try native(files)) { error in
            XCTAssertEqual((error as? FormatError)?.kind, .malformed)
            XCTAssertEqual((error as? FormatError)?.item, name)
        }
    }

    // MARK: GGUF files

    /// TQ2_0 blocks of random weights: one scale a row.
    private func blocks(rows: Int, cols: Int) -> [UInt8] {
        var random = TestRandom(state: UInt64(rows + cols)), bytes: [UInt8] = []
        for row in 0..<rows {
            for _ in 0..<cols / 256 {
                bytes += (0..<64).map { _ in
                    (0..<4).reduce(UInt8(0)) { byte, _ in byte << 2 | UInt8.random(in: 0...2, using: &random) }
                }
                bytes += [UInt8(truncatingIfNeeded: row), 0x2C]
            }
        }
        return bytes
    }

    /// A llama of TQ2_0 matrices, 256 wide with 512 neurons.
    private func tensors() -> [TinyModel.Tensor] {
        func floats(_ name: String, _ dimensions: [Int]) -> TinyModel.Tensor {
            let values = (0..<dimensions.reduce(1, *)).map { Float($0 % 13) - 6 }
            return (name, .f32, dimensions, values.withUnsafeBytes(Array.init))
        }
        return [floats("token_embd.weight", [256, 40]), floats("output_norm.weight", [256])]
            + (0..<2).flatMap { layer in
                [floats("blk.\(layer).attn_norm.weight", [256]), floats("blk.\(layer).ffn_norm.weight", [256])]
                    + [
                        ("attn_q", 256, 256), ("attn_k", 256, 256), ("attn_v", 256, 256), ("attn_output", 256, 256),
                        ("ffn_gate", 256, 512), ("ffn_up", 256, 512), ("ffn_down", 512, 256),
                    ].map { name, cols, rows -> TinyModel.Tensor in
                        ("blk.\(layer).\(name).weight", .tq2_0, [cols, rows], blocks(rows: rows, cols: cols))
                    }
            }
    }

    private func native(_ tensors: [TinyModel.Tensor]) throws -> NativeModelFile {
        let bytes = TinyModel.gguf(tensors) { writer in
            writer.add("general.architecture", "llama")
            for (key, value) in [
                ("block_count", 2), ("context_length", 16), ("embedding_length", 256), ("feed_forward_length", 512),
                ("attention.head_count", 4), ("vocab_size", 40),
            ] {
                writer.add("llama." + key, UInt32(value))
            }
            writer.add("llama.attention.layer_norm_rms_epsilon", Float(1e-5))
            TinyModel.spec.write(to: &writer)
        }
        return try NativeModelFile(image: nativeImage(GGUF(inMemory(bytes))), verify: true)
    }

    private func decoded(_ tensor: TinyModel.Tensor) -> [Float] {
        var values = [Float](repeating: 0, count: tensor.dimensions.reduce(1, *))
        tensor.bytes.withUnsafeBytes {
            decodeRow(tensor.format, from: $0.baseAddress!, count: values.count, into: &values)
        }
        return values
    }

    func testGGUFFilesKeepTheirNumbers() throws {
        let tensors = tensors(), model = try Model(native(tensors))
        XCTAssertEqual(model.config.ternary.roles, Self.all)
        for (layer, weights) in model.weights.layers.enumerated() {
            // Queries and keys of such files have another order of rows.
            for (name, map) in [("attn_v", weights.value), ("attn_output", weights.output), ("ffn_down", weights.down)]
            {
                let source = try XCTUnwrap(tensors.first { $0.name == "blk.\(layer).\(name).weight" })
                XCTAssertEqual(map.expanded, decoded(source), name)
            }
        }
        let session = try Session(model)
        try session.prefill([1, 2, 3])
        XCTAssertTrue(session.logits.allSatisfy { $0.isFinite })
    }

    /// All of a row's blocks that have weights have one scale, in every layer.
    func testWhatIsNotTernaryIsConvertedAsBefore() throws {
        func roles(_ name: String, _ change: (inout TinyModel.Tensor) -> Void) throws -> [TensorRole] {
            var tensors = tensors()
            change(&tensors[tensors.firstIndex { $0.name == name }!])
            return try native(tensors).config.ternary.roles
        }
        let down = "blk.1.ffn_down.weight"
        func others(than role: TensorRole) -> [TensorRole] { Self.all.filter { $0 != role } }
        let second = 17 * 132 + 66  // of a row's two blocks
        XCTAssertEqual(try roles(down) { $0.bytes[second + 65] = 0x2D }, others(than: .down))
        XCTAssertEqual(try roles(down) { $0.bytes[second] |= 3 }, others(than: .down), "a 3 is twice the scale")
        XCTAssertEqual(
            try roles(down) {
                $0.bytes[second + 65] = 0x2D
                $0.bytes.replaceSubrange(second..<second + 64, with: [UInt8](repeating: 0x55, count: 64))
            }, Self.all, "the block has no weights")
        XCTAssertEqual(try roles(down) { $0.bytes[second + 65] = 0xAC }, Self.all, "the other sign is no other scale")
        XCTAssertEqual(
            try roles("blk.0.attn_k.weight") { tensor in
                tensor.bytes = decoded(tensor).withUnsafeBytes(Array.init)
                tensor.format = .f32
            }, others(than: .key))
    }
}
