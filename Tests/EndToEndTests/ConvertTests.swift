// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import TinySparse
import XCTest

final class ConvertTests: XCTestCase {
    // MARK: Contents

    func testLlamaFromGGUF() throws {
        let tensors = TinyModel.llamaTensors()
        let gguf = try GGUF(inMemory(TinyModel.gguf(tensors)))
        let model = try NativeModelFile(image: nativeImage(gguf), verify: true)
        defer { withExtendedLifetime(model) {} }
        XCTAssertEqual(
            model.config.positions,
            .rope(RotaryEmbedding(base: 500, dims: TinyModel.headDim)))
        assertEqual(try model.tokenizerSpec(), TinyModel.spec)
        XCTAssertEqual(try model.gguf.string("general.license"), "cc0-1.0")
        for tensor in tensors {
            let values = floats(tensor.format, tensor.bytes)
            if tensor.dimensions.count == 1 {
                XCTAssertEqual(Array(try model.vector(tensor.name)), values, tensor.name)
                continue
            }
            let name = String(tensor.name.dropLast(".weight".count))
            var rows = split(values, tensor.dimensions[0])
            if name.hasSuffix("attn_q") || name.hasSuffix("attn_k") { rows = halfSplit(rows) }
            check(try model.matrix(name), rows, neuronMajor: name.hasSuffix("ffn_down"), name)
        }
        XCTAssertEqual(try model.matrix("output").weights, try model.matrix("token_embd").weights)
        XCTAssertThrowsError(try model.matrix("blk.2.attn_q"))
        XCTAssertThrowsError(try model.vector("blk.0.attn_q.bias"))
    }

    func testOPTFromSafetensors() throws {
        let directory = TemporaryDirectory()
        TinyModel.writeOPT(to: directory)
        let model = try NativeModelFile(image: nativeImage(directory.path), verify: true)
        defer { withExtendedLifetime(model) {} }
        XCTAssertEqual(model.config.positions, .learned)
        XCTAssertEqual(try model.tokenizerSpec().tokens, TinyModel.tokens)
        XCTAssertEqual(try model.tokenizerSpec().eos, 2)
        let names = [
            "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
            "self_attn.out_proj": "attn_output", "self_attn_layer_norm": "attn_norm",
            "fc1": "ffn_up", "fc2": "ffn_down", "final_layer_norm": "ffn_norm",
        ]
        for tensor in TinyModel.optTensors() {
            let format = BlockFormat.allCases.first { $0.name == tensor.type }!
            let values = floats(format, tensor.bytes)
            var name = tensor.name.replacingOccurrences(of: "model.decoder.", with: "")
            if name.hasPrefix("layers.") {
                name = "blk." + name.dropFirst(7)
                for (old, new) in names { name = name.replacingOccurrences(of: "." + old + ".", with: "." + new + ".") }
            }
            name = name.replacingOccurrences(of: "embed_tokens", with: "token_embd")
            if name.hasPrefix("final_layer_norm") {
                name = name.replacingOccurrences(of: "final_layer_norm", with: "output_norm")
            }
            if name == "embed_positions.weight" {
                XCTAssertEqual(
                    Array(try model.vector("position_embd.weight")),
                    Array(values[(2 * TinyModel.width)...]))
            } else if tensor.shape.count == 1 {
                XCTAssertEqual(Array(try model.vector(name)), values, name)
            } else {
                name = String(name.dropLast(".weight".count))
                let rows = split(values, tensor.shape[1])
                check(try model.matrix(name), rows, neuronMajor: name.hasSuffix("ffn_down"), name)
            }
        }
    }

    /// The same weights as the hub and as llama.cpp's converter write them.
    func testLlamaFromSafetensorsIsTheSameAsFromGGUF() throws {
        let directory = TemporaryDirectory()
        let names = [
            "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj",
            "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
            "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
            "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
        ]
        let tensors = TinyModel.llamaTensors().map { tensor -> TinyModel.FloatTensor in
            let parts = tensor.name.split(separator: ".").map(String.init)
            let name =
                switch parts[0] {
                case "token_embd": "model.embed_tokens.weight"
                case "output_norm": "model.norm.weight"
                default: "model.layers.\(parts[1]).\(names[parts[2]]!).weight"
                }
            var values = floats(tensor.format, tensor.bytes)
            if name.hasSuffix("q_proj.weight") || name.hasSuffix("k_proj.weight") {
                values = halfSplit(split(values, tensor.dimensions[0])).flatMap { $0 }
            }
            return (name, "F32", tensor.dimensions.reversed(), values.withUnsafeBytes(Array.init))
        }
        TinyModel.writeOPT(
            to: directory, weights: TinyModel.safetensors(tensors), config: TinyModel.llamaConfig)
        let ours = try GGUF(nativeImage(directory.path))
        let theirs = try GGUF(nativeImage(GGUF(inMemory(TinyModel.llama()))))
        XCTAssertEqual(ours.tensors.map(\.name), theirs.tensors.map(\.name))
        for (a, b) in zip(ours.tensors, theirs.tensors) {
            XCTAssertTrue(ours.bytes(of: a).elementsEqual(theirs.bytes(of: b)), a.name)
        }
        XCTAssertNoThrow(try nativeImage(directory.path + "/model.safetensors"))
    }

    /// A model without its head has names that begin otherwise.
    func testNamesMayBeginWithAnotherPrefix() throws {
        let directory = TemporaryDirectory(), other = TemporaryDirectory()
        TinyModel.writeOPT(to: directory)
        let tensors = TinyModel.optTensors().map {
            ($0.name.replacingOccurrences(of: "model.decoder.", with: "decoder."), $0.type, $0.shape, $0.bytes)
        }
        TinyModel.writeOPT(to: other, weights: TinyModel.safetensors(tensors))
        XCTAssertEqual(try nativeImage(other.path).contents, try nativeImage(directory.path).contents)
    }

    /// Where llama.cpp interleaves rotary pairs it does so with the biases, too; and only some matrices may have one.
    func testBiasesOfSomeMatricesAreOrderedAsTheirRows() throws {
        var random = TestRandom(state: 5)
        var tensors = TinyModel.llamaTensors()
        for layer in 0..<TinyModel.layers {
            for (name, heads) in [
                ("attn_q", TinyModel.heads), ("attn_k", TinyModel.kvHeads), ("attn_v", TinyModel.kvHeads),
            ] {
                let dimensions = [heads * TinyModel.headDim]
                tensors.append(
                    ("blk.\(layer).\(name).bias", .f32, dimensions, TinyModel.weights(.f32, dimensions, &random)))
            }
        }
        let image = try nativeImage(GGUF(inMemory(TinyModel.gguf(tensors))))
        let model = try NativeModelFile(image: image, verify: true)
        defer { withExtendedLifetime(model) {} }
        XCTAssertEqual(model.config.biases, [.query, .key, .value])
        for tensor in tensors where tensor.name.hasSuffix(".bias") {
            let values = floats(.f32, tensor.bytes).map { [$0] }
            let wanted = tensor.name.contains("attn_v") ? values : halfSplit(values)
            XCTAssertEqual(Array(try model.vector(tensor.name)), wanted.map { $0[0] }, tensor.name)
        }
        XCTAssertThrowsError(try model.vector("blk.0.attn_output.bias"))

        // A list that names what has no bias.
        var bytes = image.contents
        let key = try XCTUnwrap(bytes.firstRange(of: Array("tinysparse.bias_roles".utf8)))
        let name = try XCTUnwrap(bytes[key.upperBound...].firstRange(of: Array("attn_q".utf8)))
        bytes.replaceSubrange(name, with: Array("attn_x".utf8))
        XCTAssertThrowsError(try NativeModelFile(image: inMemory(bytes), verify: false)) {
            XCTAssertEqual(($0 as? FormatError)?.item, "tinysparse.bias_roles")
        }
    }

    func testFileAndImageAreTheSame() throws {
        let directory = TemporaryDirectory()
        let input = directory.write(TinyModel.llama(), "tiny.gguf")
        let output = directory.path + "/tiny.native"
        var tensors = 0
        try convert(input, to: output) { event in
            if case .tensor = event { tensors += 1 }
            return true
        }
        XCTAssertEqual(tensors, TinyModel.llamaTensors().count)
        let file = try MappedFile(path: output)
        XCTAssertTrue(file.contents == (try nativeImage(input).contents))
        XCTAssertEqual(
            try NativeModelFile(path: output).config,
            try NativeModelFile(image: nativeImage(input), verify: true).config)
        for tensor in try GGUF(file).tensors { XCTAssertEqual(tensor.range.lowerBound % 64, 0) }
        XCTAssertThrowsError(try convert(output, to: output + "2")) {
            XCTAssertTrue("\($0)".contains("native file already"), "\($0)")
        }
    }

    // MARK: Bad models

    func testTensorsThatDoNotFit() throws {
        func message(_ change: (inout [TinyModel.Tensor]) -> Void) throws -> String {
            var tensors = TinyModel.llamaTensors()
            change(&tensors)
            do {
                _ = try nativeImage(GGUF(inMemory(TinyModel.gguf(tensors))))
                return "fine"
            } catch let error as FormatError { return error.description }
        }
        let vector = [UInt8](repeating: 0, count: 4 * TinyModel.width)
        func add(_ name: String) throws -> String {
            try message { $0.append((name, .f32, [TinyModel.width], vector)) }
        }
        XCTAssertTrue(try message { $0.remove(at: 5) }.contains("blk.0.attn_output.weight: the tensor is missing"))
        XCTAssertTrue(try message { $0[2].dimensions = [64, 16] }.contains("[16, 64]"))
        XCTAssertTrue(try add("blk.0.attn_q.bias").contains("blk.1.attn_q.bias: the tensor is missing"))
        for name in ["blk.1.attn_q.bias", "blk.0.attn_norm.bias", "blk.0.surprise.weight"] {
            XCTAssertTrue(try add(name).contains("\(name): llama models have no such tensor"))
        }
        XCTAssertTrue(
            try message { $0[1].bytes.replaceSubrange(0..<4, with: [0, 0, 0xc0, 0x7f]) }
                .contains("blk.0.attn_norm.weight: at byte"))
        XCTAssertTrue(  // the half-precision scale of a block becomes infinite
            try message { $0[0].bytes.replaceSubrange(0..<2, with: [0, 0x7c]) }.contains("row 0"))
    }

    func testDamageIsFound() throws {
        let good = try TinyModel.native()
        let gguf = try GGUF(inMemory(good))
        func open(_ bytes: [UInt8], verify: Bool) throws -> NativeModelFile {
            try NativeModelFile(image: inMemory(bytes), verify: verify)
        }
        for tensor in gguf.tensors {
            var bytes = good
            bytes[tensor.range.lowerBound] ^= 1
            XCTAssertThrowsError(try open(bytes, verify: true)) {
                XCTAssertEqual(($0 as? FormatError)?.kind, .checksum)
                XCTAssertTrue("\($0)".contains(tensor.name), "\($0)")
            }
        }
        let scale = try XCTUnwrap(gguf.tensor("blk.1.ffn_up.scale")).range.lowerBound
        for bad in [Float.nan, .infinity, -1] {
            var bytes = good
            withUnsafeBytes(of: bad) { bytes.replaceSubrange(scale..<(scale + 4), with: $0) }
            XCTAssertThrowsError(try open(bytes, verify: false)) {
                XCTAssertEqual(($0 as? FormatError)?.offset, scale)
            }
        }
    }

    // MARK: Interruptions

    func testInterruptedConversionLeavesNothing() throws {
        let directory = TemporaryDirectory()
        let input = directory.write(TinyModel.llama(), "tiny.gguf")
        let old = directory.write([1, 2, 3], "old.native")
        for target in [old, directory.path + "/new.native"] {
            for stop in [1, 7, 20] {
                XCTAssertThrowsError(
                    try convert(input, to: target) { event in
                        if case .tensor(_, let number, _) = event { number != stop } else { true }
                    }
                ) { XCTAssertEqual(($0 as? FormatError)?.kind, .stopped) }
                XCTAssertEqual(directory.contents, ["old.native", "tiny.gguf"])
            }
        }
        XCTAssertEqual(try MappedFile(path: old).contents, [1, 2, 3])
        XCTAssertThrowsError(try convert(input, to: directory.path + "/no/where"))
        XCTAssertThrowsError(try convert(input, to: directory.path))
        XCTAssertThrowsError(try convert(input, to: "/dev/null"))
        try convert(input, to: input)  // the source is mapped, so this works
        XCTAssertNoThrow(try NativeModelFile(path: input))
        XCTAssertEqual(directory.contents, ["old.native", "tiny.gguf"])
    }

    func testFullDiskLeavesNothing() throws {
        let directory = TemporaryDirectory()
        let input = directory.write(TinyModel.llama(), "tiny.gguf")
        signal(SIGXFSZ, SIG_IGN)
        var old = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
        getrlimit(resource, &old)
        for size in [0, 1000, 10_000, 40_000] {
            var limit = rlimit(rlim_cur: rlim_t(size), rlim_max: old.rlim_max)
            setrlimit(resource, &limit)
            let result = Result { try convert(input, to: directory.path + "/out.native") }
            setrlimit(resource, &old)
            XCTAssertThrowsError(try result.get()) {
                XCTAssertEqual(($0 as? FormatError)?.kind, .system(EFBIG), "\($0)")
            }
            XCTAssertEqual(directory.contents, ["tiny.gguf"])
        }
        try convert(input, to: directory.path + "/out.native")
    }

    // MARK: A real model

    func testSmolLM2() throws {
        guard let input = ProcessInfo.processInfo.environment["TINYSPARSE_SMOLLM2"] else {
            throw XCTSkip("TINYSPARSE_SMOLLM2 does not name SmolLM2-135M's GGUF file")
        }
        let directory = TemporaryDirectory()
        let output = directory.path + "/smollm2.native"
        let clock = ContinuousClock()
        print("SmolLM2: converted in \(try clock.measure { try convert(input, to: output) })")
        print("SmolLM2: image in \(try clock.measure { _ = try nativeImage(input) })")
        var model: NativeModelFile?
        print("SmolLM2: opened in \(try clock.measure { model = try NativeModelFile(path: output, verify: false) })")
        print("SmolLM2: verified in \(try clock.measure { model = try NativeModelFile(path: output) })")
        let config = try XCTUnwrap(model).config
        XCTAssertEqual(config.nLayers, 30)
        XCTAssertEqual(config.headDim, 64)
        XCTAssertEqual(try model?.tokenizerSpec().tokens.count, 49152)
        XCTAssertEqual(try model?.matrix("blk.29.ffn_down").rows, 1536)
    }

    // MARK: The definition, written plainly

    private func floats(_ format: BlockFormat, _ bytes: [UInt8]) -> [Float] {
        let count = bytes.count / format.blockBytes * format.blockLength
        return [Float](unsafeUninitializedCapacity: count) { output, initialized in
            decodeRow(format, from: bytes, count: count, into: output.baseAddress!)
            initialized = count
        }
    }

    private func split(_ values: [Float], _ cols: Int) -> [[Float]] {
        stride(from: 0, to: values.count, by: cols).map { Array(values[$0..<($0 + cols)]) }
    }

    /// Rows 2i and 2i + 1 of a head become rows i and i + d/2.
    private func halfSplit(_ rows: [[Float]]) -> [[Float]] {
        let d = TinyModel.headDim
        var result = rows
        for head in 0..<(rows.count / d) {
            for i in 0..<(d / 2) {
                result[head * d + i] = rows[head * d + 2 * i]
                result[head * d + i + d / 2] = rows[head * d + 2 * i + 1]
            }
        }
        return result
    }

    private func check(_ matrix: Matrix, _ rows: [[Float]], neuronMajor: Bool, _ name: String) {
        let cols = rows[0].count
        XCTAssertEqual(matrix.rows, neuronMajor ? cols : rows.count, name)
        XCTAssertEqual(matrix.cols, neuronMajor ? rows.count : cols, name)
        XCTAssertEqual(matrix.stride % 64, 0, name)
        XCTAssertEqual(Int(bitPattern: matrix.weights) % 64, 0, name)
        for (r, row) in rows.enumerated() {
            let amax = row.map(abs).max()!
            XCTAssertEqual(matrix.scales[r], amax / 127, name)
            for (c, w) in row.enumerated() {
                let q = (w * (127 / amax)).rounded(.toNearestOrEven)
                let index = neuronMajor ? c * matrix.stride + r : r * matrix.stride + c
                XCTAssertEqual(Float(matrix.weights[index]), q, name)
            }
        }
        for r in 0..<matrix.rows {
            for c in matrix.cols..<matrix.stride {
                XCTAssertEqual(matrix.weights[r * matrix.stride + c], 0, name)
            }
        }
    }
}
