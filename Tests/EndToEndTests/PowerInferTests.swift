// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import TinySparse
import TinyTraining
import XCTest

/// Predictors that others trained: PowerInfer's files, and folders of predictors for any model.
final class PowerInferTests: CommandLineTestCase {
    private let directory = TemporaryDirectory()

    // MARK: PowerInfer's files

    /// The file is the same model as one of llama.cpp with a predictor folder, to the byte, but for what it says of itself.
    func testALlamaWithPredictorsIsTheModelAndThePredictors() throws {
        for name in ["llama", "bamboo"] {
            let tensors = PowerInferModel.tensors("llama")
            let powerInfer = try nativeImage(GGUF(inMemory(PowerInferModel.file(name, tensors, threshold: 0.25))))
            let native = try GGUF(powerInfer)
            let config = try ModelConfig(native: native)
            XCTAssertEqual(config.activation, .relu)
            XCTAssertEqual(config.activatesUp, name == "bamboo")
            XCTAssertEqual(config.predictors.neuronRanks, PowerInferModel.ranks)
            XCTAssertEqual(config.predictors.neuronThresholds, [0.25, 0.25])
            XCTAssertEqual(config.predictors.neuronInput, .mlpResidual)
            XCTAssertTrue(config.predictors.neuronRelu)
            XCTAssertEqual(try native.integer(ModelConfig.nativeFormatKey), 2)
            guard name == "llama" else { continue }

            let base = directory.write(PowerInferModel.plainLlama(tensors), "base.gguf")
            let folder = try predictorFolder(
                PowerInferModel.predictors(tensors),
                #"{"neurons": {"input": "ffn_residual", "relu": true, "threshold": 0.25}}"#)
            let output = directory.path + "/out.gguf"
            try convert(base, to: output, predictors: folder)
            let other = try GGUF(path: output)
            XCTAssertEqual(other.tensors.map(\.name), native.tensors.map(\.name))
            for (a, b) in zip(native.tensors, other.tensors) {
                XCTAssertTrue(native.bytes(of: a).elementsEqual(other.bytes(of: b)), a.name)
            }
            XCTAssertEqual(try ModelConfig(native: other), config)
        }
    }

    /// Neuron i is computed if fc2 relu(fc1 x) reaches the threshold: with an fc1 of ones and an fc2 of ones and minus ones,
    /// all but the latter are if the sum of x, Falcon's input of the layer, is above zero, and else none is.
    func testWhatFiresFollowsFromTheDefinition() throws {
        let (width, neurons) = (TinyModel.width, TinyModel.neurons)
        for name in ["llama", "opt", "falcon"] {
            var tensors = PowerInferModel.tensors(name)
            for i in tensors.indices {
                if tensors[i].name.hasSuffix("fc1.weight") {
                    tensors[i].values = [Float](repeating: 1, count: tensors[i].values.count)
                } else if tensors[i].name.hasSuffix("fc2.weight") {
                    let rank = tensors[i].dimensions[0]
                    tensors[i].values = (0..<neurons * rank).map { $0 / rank < 10 ? -1 : 1 }
                }
            }
            let model = try Model(bytes: PowerInferModel.file(name, tensors, threshold: 1e-6))
            let session = try Session(model, .init(threads: 1, sparsity: .predicted()))
            var active = 0, above = 0, layers = 0, before: [Float] = []
            session.observeLayers { state in
                if state.layer >= 0 {
                    above += before.reduce(0) { $0 + Double($1) } > 0 ? 1 : 0
                    layers += 1
                }
                before = Array(state.hidden.prefix(width))
            }
            for token in 1...Int32(TinyModel.context) {
                let before = session.activity.neurons
                try session.decode(token)
                let some = session.activity.neurons - before
                XCTAssertEqual(some % (neurons - 10), 0, name)
                active += some / (neurons - 10)
            }
            session.observeLayers(nil)
            XCTAssertTrue(0 < active && active < layers, name)
            if name == "falcon" { XCTAssertEqual(active, above) }
        }
    }

    func testOPTAndFalcon() throws {
        let opt = try Model(bytes: PowerInferModel.file("opt", PowerInferModel.tensors("opt")))
        // The table of positions has two rows that stand for none.
        XCTAssertEqual(opt.config.contextLength, TinyModel.context)
        XCTAssertEqual(opt.config.predictors.neuronThresholds, [0, 0])
        let falcon = try Model(bytes: PowerInferModel.file("falcon", PowerInferModel.tensors("falcon")))
        XCTAssertEqual(falcon.config.activation, .relu)
        XCTAssertEqual(falcon.config.residual, .parallel)
        for model in [opt, falcon] {
            let dense = try Session(model, .init(threads: 1)),
                sparse = try Session(model, .init(sparsity: .predicted()))
            for session in [dense, sparse] { try session.evaluate([1, 2, 3, 4, 5]) }
            XCTAssertNotEqual(Array(dense.logits), Array(sparse.logits))
            XCTAssertLessThan(sparse.activity.neuronShare, 1)
        }
    }

    func testWhatIsNotUnderstoodIsRefusedByName() throws {
        let tensors = PowerInferModel.tensors("llama")
        func check(_ item: String, _ bytes: [UInt8], line: UInt = #line) {
            XCTAssertThrowsError(try nativeImage(GGUF(inMemory(bytes))), line: line) {
                XCTAssertEqual(($0 as? FormatError)?.item, item, "\($0)", line: line)
            }
        }
        func changed(_ name: String, _ change: (inout PowerInferModel.Tensor) -> Void) -> [PowerInferModel.Tensor] {
            var tensors = tensors
            change(&tensors[tensors.firstIndex { $0.name == name }!])
            return tensors
        }
        check("general.architecture", PowerInferModel.file("qwen2", tensors))
        check("blk.1.fc1.weight", PowerInferModel.file("llama", tensors.filter { $0.name != "blk.1.fc1.weight" }))
        check("blk.1.fc2.weight", PowerInferModel.file("llama", tensors.filter { $0.name != "blk.1.fc2.weight" }))
        check(
            "blk.0.ffn_down_t.weight",
            PowerInferModel.file("llama", changed("blk.0.ffn_down_t.weight") { $0.name = "blk.0.ffn_down.weight" }))
        check(
            "blk.0.ffn_down_t.weight",
            PowerInferModel.file("llama", changed("blk.0.ffn_down_t.weight") { $0.dimensions.reverse() }))
        check(
            "blk.0.fc1.weight",
            PowerInferModel.file("llama", changed("blk.0.fc1.weight") { $0.dimensions = [$0.values.count] }))
        check(
            "blk.0.fc2.weight", PowerInferModel.file("llama", changed("blk.0.fc2.weight") { $0.dimensions.reverse() }))
        let more = PowerInferModel.Tensor(
            name: "blk.0.fc1.bias", dimensions: [12], values: [Float](repeating: 0, count: 12))
        check("blk.0.fc1.bias", PowerInferModel.file("llama", tensors + [more]))
        let split = PowerInferModel.Tensor(
            name: "blk.0.gpu_idx", dimensions: [96], values: [Float](repeating: 0, count: 96))
        check("blk.0.gpu_idx", PowerInferModel.file("llama", tensors + [split]))
        check("powerinfer.sparse_threshold", PowerInferModel.file("llama", tensors, threshold: .infinity))
        check(
            "powerinfer.surprise", PowerInferModel.file("llama", tensors) { $0.add("powerinfer.surprise", UInt32(1)) })
        // The same tensors in a file of llama.cpp; a native file of PowerInfer.
        var bytes = PowerInferModel.file("llama", tensors)
        bytes.replaceSubrange(0..<4, with: "GGUF".utf8)
        check("blk.0.ffn_down.weight", bytes)
        bytes = try TinyModel.native()
        bytes.replaceSubrange(0..<4, with: "PWRI".utf8)
        XCTAssertThrowsError(try nativeImage(GGUF(inMemory(bytes)))) { XCTAssertTrue($0 is FormatError, "\($0)") }
        XCTAssertFalse(try GGUF(inMemory(bytes)).isNativeModel)
    }

    func testInspectSaysWhatItIs() throws {
        let path = directory.write(
            PowerInferModel.file("llama", PowerInferModel.tensors("llama")), "model.powerinfer.gguf")
        let source = try tinysparse("inspect", path)
        XCTAssertTrue(source.output.contains("PowerInfer GGUF version 3"), source.output + source.errors)
        let output = directory.path + "/native.gguf"
        let converted = try tinysparse("convert", path, output)
        XCTAssertEqual(converted.status, 0, converted.errors)
        let native = try tinysparse("inspect", output)
        XCTAssertTrue(native.output.contains("neurons in 2 layers, for heads in 0; with a ReLU"), native.output)
        XCTAssertTrue(native.output.contains("residual stream before the MLP"), native.output)
    }

    // MARK: Folders of predictors

    private func predictorFolder(_ tensors: [TinyModel.FloatTensor], _ json: String) throws -> String {
        let folder = directory.path + "/" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(TinyModel.safetensors(tensors)).write(to: URL(fileURLWithPath: folder + "/predictors.safetensors"))
        try Data(json.utf8).write(to: URL(fileURLWithPath: folder + "/predictors.json"))
        return folder
    }

    private static func matrix(_ name: String, _ rows: Int, _ cols: Int) -> TinyModel.FloatTensor {
        var random = TestRandom(state: UInt64(rows * cols))
        return (name, "F32", [rows, cols], TinyModel.weights(.f32, [cols, rows], &random))
    }

    /// Predictors like Deja Vu's: of neurons and heads, from what the layers get.
    func testPredictorsOfNeuronsAndHeads() throws {
        let base = directory.write(TinyModel.llama(), "base.gguf")
        let folder = try predictorFolder(
            [
                Self.matrix("layers.0.neurons.a.weight", 9, 32), Self.matrix("layers.0.neurons.b.weight", 96, 9),
                Self.matrix("layers.1.heads.a.weight", 70, 32), Self.matrix("layers.1.heads.b.weight", 4, 70),
            ],
            #"{"neurons": {"input": "attn_residual", "threshold": [0.5, 0]}, "heads": {"input": "attn_residual", "relu": false, "threshold": 0}}"#
        )
        let output = directory.path + "/out.gguf"
        let outcome = try tinysparse("convert", base, output, "--predictors", folder)
        XCTAssertEqual(outcome.status, 0, outcome.errors)
        let model = try Model(path: output), predictors = model.config.predictors
        XCTAssertEqual(predictors.neuronRanks, [9, 0])
        XCTAssertEqual(predictors.neuronThresholds, [0.5, 0])
        XCTAssertEqual(predictors.headRanks, [0, 70])
        XCTAssertEqual(predictors.headInput, .attentionResidual)
        let dense = try Session(Model(path: base), .init(threads: 1)), same = try Session(model, .init(threads: 1))
        let sparse = try Session(model, .init(threads: 1, sparsity: .predicted()))
        for session in [dense, same, sparse] { try session.evaluate([1, 2, 3, 4, 5, 6]) }
        XCTAssertEqual(Array(dense.logits), Array(same.logits))
        XCTAssertNotEqual(Array(dense.logits), Array(sparse.logits))
        XCTAssertLessThan(sparse.activity.headShare, 1)
    }

    func testBrokenFoldersAreRefusedByName() throws {
        let base = directory.write(TinyModel.llama(), "base.gguf")
        let good = [Self.matrix("layers.0.neurons.a.weight", 9, 32), Self.matrix("layers.0.neurons.b.weight", 96, 9)]
        let json = #"{"neurons": {"input": "ffn_norm", "threshold": 0}}"#
        func check(
            _ item: String?, _ tensors: [TinyModel.FloatTensor], _ json: String, source: String? = nil,
            line: UInt = #line
        ) throws {
            let folder = try predictorFolder(tensors, json)
            XCTAssertThrowsError(
                try convert(source ?? base, to: directory.path + "/no", predictors: folder), line: line
            ) { XCTAssertEqual(($0 as? FormatError)?.item, item, "\($0)", line: line) }
        }
        XCTAssertNoThrow(try convert(base, to: directory.path + "/yes", predictors: predictorFolder(good, json)))
        try check("layers.0.neurons.b.weight", [good[0]], json)
        try check("layers.0.neurons.a.weight", [Self.matrix("layers.0.neurons.a.weight", 9, 31), good[1]], json)
        try check("layers.0.neurons.b.weight", [good[0], Self.matrix("layers.0.neurons.b.weight", 95, 9)], json)
        try check("layers.0.neurons.a.weight", [Self.matrix("layers.0.neurons.a.weight", 5000, 32), good[1]], json)
        try check("layers.0.neurons.a.weight", good, #"{"heads": {"input": "ffn_norm", "threshold": 0}}"#)
        try check("layers.0.neurons.a.weight", [], json)
        try check("layers.7.neurons.a.weight", good + [Self.matrix("layers.7.neurons.a.weight", 9, 32)], json)
        let heads = [Self.matrix("layers.0.heads.a.weight", 9, 32), Self.matrix("layers.0.heads.b.weight", 4, 9)]
        try check("layers.0.heads.a.weight", heads, #"{"heads": {"input": "ffn_norm", "threshold": 0}}"#)
        try check("heads.relu", good, #"{"heads": {"input": "ffn_norm", "threshold": 0, "relu": true}}"#)
        try check("neurons.input", good, #"{"neurons": {"input": "embedding", "threshold": 0}}"#)
        try check("neurons.threshold", good, #"{"neurons": {"input": "ffn_norm"}}"#)
        try check("neurons.threshold", good, #"{"neurons": {"input": "ffn_norm", "threshold": [0, "1"]}}"#)
        try check("neurons.threshold", good, #"{"neurons": {"input": "ffn_norm", "threshold": 1e300}}"#)
        try check("neurons", good, #"{"neurons": {"input": "ffn_norm", "threshold": [0, 0, 0]}}"#)
        try check("neurons.top", good, #"{"neurons": {"input": "ffn_norm", "threshold": 0, "top": 5}}"#)
        try check("more", good, #"{"neurons": {"input": "ffn_norm", "threshold": 0}, "more": 1}"#)
        try check(nil, good, "[]")
        let powerInfer = directory.write(PowerInferModel.file("llama", PowerInferModel.tensors("llama")), "pi.gguf")
        try check(nil, good, json, source: powerInfer)
        XCTAssertThrowsError(try convert(base, to: directory.path + "/no", predictors: directory.path))
    }
}

extension Model {
    fileprivate convenience init(bytes: [UInt8]) throws {
        let image = try nativeImage(GGUF(inMemory(bytes)))
        try self.init(NativeModelFile(image: image, verify: true))
    }
}

/// Tiny random models as PowerInfer's converters write them.
enum PowerInferModel {
    struct Tensor {
        var name: String
        /// The contiguous dimension first.
        var dimensions: [Int]
        var values: [Float]
    }

    static let ranks = [12, 70]

    static func tensors(_ architecture: String) -> [Tensor] {
        var random = TestRandom(state: 5)
        var tensors: [Tensor] = []
        func add(_ name: String, _ dimensions: Int...) {
            let values = (0..<dimensions.reduce(1, *)).map { _ in Float.random(in: -1...1, using: &random) }
            tensors.append(Tensor(name: name, dimensions: dimensions, values: values))
        }
        let (width, neurons) = (TinyModel.width, TinyModel.neurons)
        let isLlama = architecture == "llama", isOPT = architecture == "opt"
        let keys = isOPT ? width : TinyModel.kvHeads * TinyModel.headDim
        func linear(_ name: String, _ inputs: Int, _ outputs: Int, bias: Int? = nil) {
            add(name + ".weight", inputs, outputs)
            if isOPT { add(name + ".bias", bias ?? outputs) }
        }
        func norm(_ name: String) {
            add(name + ".weight", width)
            if !isLlama { add(name + ".bias", width) }
        }
        add("token_embd.weight", width, TinyModel.vocabulary)
        if isOPT { add("position_embd.weight", width, TinyModel.context + 2) }
        for layer in 0..<TinyModel.layers {
            let prefix = "blk.\(layer)."
            norm(prefix + "attn_norm")
            if architecture == "falcon" {
                linear(prefix + "attn_qkv", width, width + 2 * keys)
            } else {
                linear(prefix + "attn_q", width, width)
                linear(prefix + "attn_k", width, keys)
                linear(prefix + "attn_v", width, keys)
            }
            linear(prefix + "attn_output", width, width)
            if architecture != "falcon" { norm(prefix + "ffn_norm") }
            if isLlama { linear(prefix + "ffn_gate", width, neurons) }
            linear(prefix + "ffn_up", width, neurons)
            linear(prefix + "ffn_down_t", width, neurons, bias: width)
            add(prefix + "fc1.weight", width, ranks[layer])
            add(prefix + "fc2.weight", ranks[layer], neurons)
        }
        norm("output_norm")
        if !isOPT { add("output.weight", width, TinyModel.vocabulary) }
        return tensors
    }

    private static func gguf(_ tensors: [Tensor], _ metadata: (inout GGUFWriter) -> Void) -> [UInt8] {
        let stored = tensors.map { tensor in
            (
                tensor.name, BlockFormat.f32, tensor.dimensions,
                tensor.values.flatMap { withUnsafeBytes(of: $0, Array.init) }
            )
        }
        return TinyModel.gguf(stored, metadata: metadata)
    }

    private static func metadata(_ architecture: String, _ writer: inout GGUFWriter) {
        writer.add("general.architecture", architecture)
        writer.add("general.name", "Tiny")
        for (key, value) in [
            ("block_count", TinyModel.layers), ("embedding_length", TinyModel.width),
            ("context_length", TinyModel.context + (architecture == "opt" ? 2 : 0)),
            ("feed_forward_length", TinyModel.neurons), ("attention.head_count", TinyModel.heads),
            ("attention.head_count_kv", architecture == "opt" ? TinyModel.heads : TinyModel.kvHeads),
        ] {
            writer.add("\(architecture).\(key)", UInt32(value))
        }
        TinyModel.spec.write(to: &writer)
    }

    static func file(
        _ architecture: String, _ tensors: [Tensor], threshold: Float? = nil,
        more: (inout GGUFWriter) -> Void = { _ in }
    ) -> [UInt8] {
        var bytes = gguf(tensors) { writer in
            metadata(architecture, &writer)
            if let threshold { writer.add("powerinfer.sparse_threshold", threshold) }
            more(&writer)
        }
        bytes.replaceSubrange(0..<4, with: "PWRI".utf8)
        return bytes
    }

    /// The same llama without predictors, as llama.cpp's converter writes it.
    static func plainLlama(_ tensors: [Tensor]) -> [UInt8] {
        let plain = tensors.filter { !$0.name.contains(".fc") }.map { tensor in
            guard tensor.name.contains("ffn_down_t") else { return tensor }
            let (width, neurons) = (tensor.dimensions[0], tensor.dimensions[1])
            let values = (0..<width * neurons).map { tensor.values[$0 % neurons * width + $0 / neurons] }
            return Tensor(
                name: tensor.name.replacingOccurrences(of: "_t.", with: "."), dimensions: [neurons, width],
                values: values)
        }
        return gguf(plain) { writer in
            metadata("llama", &writer)
            writer.add("llama.hidden_activation", "relu")
        }
    }

    /// The predictors as tensors of a folder.
    static func predictors(_ tensors: [Tensor]) -> [TinyModel.FloatTensor] {
        tensors.filter { $0.name.contains(".fc") }.map { tensor in
            let layer = tensor.name.split(separator: ".")[1], part = tensor.name.contains("fc1") ? "a" : "b"
            return (
                "layers.\(layer).neurons.\(part).weight", "F32", tensor.dimensions.reversed(),
                tensor.values.flatMap { withUnsafeBytes(of: $0, Array.init) }
            )
        }
    }
}
