// SPDX-License-Identifier: Apache-2.0

import Quant
import TinySparse
import XCTest

final class SafetensorsTests: XCTestCase {
    func testReadsAFile() throws {
        let tensors = TinyModel.optTensors()
        let file = try Safetensors(inMemory(TinyModel.safetensors(tensors)))
        XCTAssertEqual(file.tensors.map(\.name), tensors.map(\.name))
        for tensor in tensors {
            let read = try XCTUnwrap(file.tensor(tensor.name))
            XCTAssertEqual(read.shape, tensor.shape)
            XCTAssertEqual(read.format?.name, tensor.type)
            XCTAssertEqual([UInt8](file.bytes(of: read)), tensor.bytes)
        }
    }

    func testShards() throws {
        let directory = TemporaryDirectory()
        let tensors = TinyModel.optTensors()
        let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        _ = directory.write(TinyModel.safetensors(Array(tensors[..<9])), names[0])
        _ = directory.write(TinyModel.safetensors(Array(tensors[9...])), names[1])
        func index(_ shard: (Int) -> String) -> [UInt8] {
            let map = tensors.enumerated().map { "\"\($1.name)\": \"\(shard($0))\"" }
            return Array("{\"weight_map\": {\(map.joined(separator: ","))}}".utf8)
        }
        let indexName = "model.safetensors.index.json"
        _ = directory.write(index { names[$0 < 9 ? 0 : 1] }, indexName)
        let model = try SafetensorsModel(path: directory.path)
        XCTAssertEqual(model.shards.count, 2)
        for tensor in tensors { XCTAssertNotNil(model.tensor(tensor.name)) }

        for evil in ["../model.safetensors", "/etc/passwd", "gone.safetensors", "x"] {
            _ = directory.write(index { _ in evil }, indexName)
            XCTAssertThrowsError(try SafetensorsModel(path: directory.path), evil) {
                XCTAssertTrue($0 is FormatError)
            }
        }
    }

    func testErrors() {
        func check(_ header: String, data: Int = 16, _ word: String) {
            var bytes: [UInt8] = []
            bytes.append(integer: UInt64(header.utf8.count))
            bytes += Array(header.utf8) + [UInt8](repeating: 0, count: data)
            XCTAssertThrowsError(try Safetensors(inMemory(bytes)), header) {
                XCTAssertTrue($0 is FormatError && "\($0)".contains(word), "\($0)")
            }
        }
        func tensor(_ type: String, _ shape: String, _ offsets: String) -> String {
            "{\"w\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
        }
        check("[]", "object")
        check("{", "JSON")
        check(tensor("F99", "[4]", "[0,16]"), "dtype")
        check(tensor("F32", "[4]", "[0,20]"), "incomplete")
        check(tensor("F32", "[4]", "[16,0]"), "data_offsets")
        check(tensor("F32", "[4]", "[-1,15]"), "data_offsets")
        check(tensor("F32", "[3]", "[0,16]"), "16 bytes")
        check(tensor("F32", "[-4]", "[0,16]"), "shape")
        check(tensor("F32", "[4611686018427387904,4]", "[0,16]"), "overflows")
        check(tensor("F32", "[1.5]", "[0,16]"), "shape")
        let one = "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
        check("{\"a\":\(one),\"a\":\(one)}", "twice")
        check("{\"a\":\(one),\"b\":\(one)}", "shares bytes")
        XCTAssertThrowsError(try Safetensors(inMemory([UInt8](repeating: 0xff, count: 8))))
        XCTAssertThrowsError(try Safetensors(inMemory([1, 2, 3])))
    }

    func testConfigurations() throws {
        let directory = TemporaryDirectory()
        func read(_ json: String) throws -> ModelConfig {
            try SourceConfig(huggingFace: directory.write(Array(json.utf8), "config.json")).config
        }
        let opt = try read(TinyModel.optConfig)
        XCTAssertEqual(opt.positions, .learned)
        XCTAssertEqual(opt.activation, .relu)
        XCTAssertTrue(opt.tiedHead && opt.biases == opt.layerMatrices && !opt.gated)
        let llama = try read(TinyModel.llamaConfig)
        XCTAssertEqual(
            llama.positions, .rope(RotaryEmbedding(base: 500, dims: TinyModel.headDim)))
        XCTAssertEqual(llama.activation, .silu)

        XCTAssertEqual(llama.biases, [])

        func with(_ config: String, _ old: String, _ new: String) -> String {
            let result = config.replacingOccurrences(of: old, with: new)
            XCTAssertNotEqual(result, config)
            return result
        }
        let attention = try read(with(TinyModel.llamaConfig, "\"tie", "\"attention_bias\": true, \"tie"))
        XCTAssertEqual(attention.biases, [.query, .key, .value, .attentionOutput])
        let mlp = try read(with(TinyModel.llamaConfig, "\"tie", "\"mlp_bias\": true, \"tie"))
        XCTAssertEqual(mlp.biases, [.gate, .up, .down])
        let bad = [
            with(TinyModel.optConfig, "proj_dim\": 32", "proj_dim\": 0"),
            with(TinyModel.optConfig, "\"relu\"", "\"tanh\""),
            with(TinyModel.optConfig, "heads\": 4", "heads\": 0"),
            with(TinyModel.optConfig, "embeddings\": 16", "embeddings\": 1152921504606846976"),
            with(TinyModel.optConfig, "embeddings\": 16", "embeddings\": \"16\""),
            with(TinyModel.optConfig, "\"opt\"", "\"bloom\""),
            with(TinyModel.llamaConfig, "500.0", "500.0, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 0}"),
            with(TinyModel.llamaConfig, "500.0", "0.5"),
            "[]", "{", "{\"model_type\": 1}",
        ]
        for json in bad {
            XCTAssertThrowsError(try read(json), json) { XCTAssertTrue($0 is FormatError, "\($0)") }
        }
    }

    /// Short waves stay as they are, long ones slow down by the factor.
    func testLlama3RopeFactors() throws {
        let directory = TemporaryDirectory()
        let json = TinyModel.llamaConfig.replacingOccurrences(
            of: "\"rope_theta\": 500.0",
            with: """
                "rope_theta": 500000.0, "head_dim": 64, "rope_scaling": {"rope_type": "llama3",
                "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192}
                """)
        let config = try SourceConfig(
            huggingFace: directory.write(Array(json.utf8), "config.json")
        ).config
        guard case .rope(let rope) = config.positions else { return XCTFail("no rope") }
        XCTAssertEqual(rope.factors.count, 32)
        XCTAssertEqual(rope.factors.first, 1)
        XCTAssertEqual(rope.factors.last, 32)
        XCTAssertEqual(rope.factors, rope.factors.sorted())
    }
}
