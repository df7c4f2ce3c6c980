// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import TinySparse
import XCTest

/// Nothing in a source checkpoint is silently wrong: what is there is used as Transformers and llama.cpp use it, or refused
/// by name.
final class SourceTests: XCTestCase {
    private let directory = TemporaryDirectory()
    private let fixtures = Tool.root + "/Tests/EndToEndTests/Fixtures/config/"

    /// The error of `body`, or "fine".
    private func message<T>(_ body: () throws -> T) -> String {
        do { _ = try body() } catch {
            XCTAssertTrue(error is FormatError, "\(error)")
            return "\(error)"
        }
        return "fine"
    }

    private func convert(_ tensors: [TinyModel.FloatTensor], config: String = TinyModel.optConfig) -> String {
        TinyModel.writeOPT(to: directory, weights: TinyModel.safetensors(tensors), config: config)
        return message { try nativeImage(directory.path) }
    }

    // MARK: Tensors

    func testTensorsThatAreNotUsedAreRefused() {
        let vector = [UInt8](repeating: 0, count: 4 * TinyModel.width)
        for name in [
            "model.decoder.layers.0.self_attn.inner_attn_ln.weight", "model.decoder.layers.1.ffn_layernorm.weight",
            "model.decoder.layers.0.self_attn.q_norm.weight", "model.decoder.layers.0.fc1.lora_A.weight",
            "model.decoder.layers.0.experts.0.fc1.weight", "model.decoder.layers.0.post_feedforward_layernorm.weight",
            "model.decoder.layers.0.fc1.scale", "model.decoder.layers.0.self_attn.rotary_emb.inv_freq",
            "model.decoder.layers.0.attn.masked_bias", "model.decoder.layers.2.fc2.bias",
            "model.decoder.layers.0.fc1.qweight", "model.decoder.layers.0.fc1.weight_packed", "surprise",
        ] {
            let message = convert(TinyModel.optTensors() + [(name, "F32", [TinyModel.width], vector)])
            XCTAssertTrue(message.contains(": \(name): "), message)
        }
        XCTAssertEqual(convert(TinyModel.optTensors()), "fine")
        // Also without a conversion, for `inspect`.
        _ = convert(TinyModel.optTensors() + [("surprise", "F32", [TinyModel.width], vector)])
        XCTAssertTrue(message { try ModelConfig(path: directory.path) }.contains("surprise"))
    }

    /// Transformers ties what is equal, and uses both where they differ.
    func testTiedHeads() {
        let tensors = TinyModel.optTensors()
        var head = tensors[0]
        head.name = "lm_head.weight"
        XCTAssertEqual(convert(tensors + [head]), "fine")
        head.bytes[5] ^= 1
        XCTAssertTrue(convert(tensors + [head]).contains("lm_head.weight: at byte"))
        let untied = TinyModel.optConfig.replacingOccurrences(
            of: "{\"mod", with: "{\"tie_word_embeddings\": false, \"mod")
        XCTAssertEqual(convert(tensors + [head], config: untied), "fine")
    }

    // MARK: config.json

    /// The same meaning as in Transformers, which `Fixtures/config/make_fixtures.py` recorded, or an error.
    func testFieldsMeanTheSameAsInTransformers() throws {
        let data = try Data(
            contentsOf: URL(fileURLWithPath: fixtures + "meanings.json"))
        let all = try XCTUnwrap(JSON.parse([UInt8](data)).object)
        var stricter: [String: Int] = [:]
        for (name, cases) in all {
            var known: [Int64: ModelConfig] = [:]
            for item in cases.array ?? [] {
                let (text, meaning) = (item["config"]!.string!, item["meaning"]!.integer!)
                let path = directory.write(Array(text.utf8), "config.json")
                do throws(FormatError) {
                    var config = try SourceConfig(huggingFace: path).config
                    config.contextLength = 0  // says nothing of a short text
                    XCTAssertGreaterThanOrEqual(meaning, 0, text)
                    XCTAssertEqual(known[meaning] ?? config, config, "\(name): \(text)")
                    XCTAssertFalse(known.contains { $0.key != meaning && $0.value == config }, "\(name): \(text)")
                    known[meaning] = config
                } catch {
                    if meaning >= 0 { stricter[error.item ?? "", default: 0] += 1 }
                }
            }
        }
        // What Transformers takes and this does not: two objects that disagree, what is not used there but may be
        // meant, and what is not supported.
        XCTAssertEqual(
            stricter,
            [
                "rope_scaling": 2, "partial_rotary_factor": 1, "rope_parameters.partial_rotary_factor": 1,
                "hidden_act": 2, "rope_theta": 1, "quantization_config": 1, "layer_norm_elementwise_affine": 1,
            ])
    }

    /// Up to the rounding of single precision, recorded by the same script.
    func testActivationsAreThoseOfTransformers() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: fixtures + "activations.json"))
        let functions = try XCTUnwrap(JSON.parse([UInt8](data)).object).map {
            ($0.key, $0.value.array!.map { $0.double! })
        }
        let x = functions[0].1.map { Float($0) }
        for (name, wanted) in functions.dropFirst() {
            let text = TinyModel.llamaConfig.replacingOccurrences(of: "\"silu\"", with: "\"\(name)\"")
            let config = try SourceConfig(huggingFace: directory.write(Array(text.utf8), "config.json")).config
            for set in Kernels.available {
                let activate: Activate =
                    switch config.activation {
                    case .silu: set.silu
                    case .relu: set.relu
                    case .relu2, .fatrelu: throw XCTSkip("not among the recorded ones")
                    case .gelu: set.gelu
                    case .geluErf: set.geluErf
                    }
                var y = x
                activate(&y, y.count)
                for i in x.indices {
                    XCTAssertEqual(
                        Double(y[i]), wanted[i], accuracy: 2e-7 * max(1, Double(abs(x[i]))), "\(name)(\(x[i]))")
                }
            }
        }
    }

    func testFieldsThatAreNotUnderstoodAreRefused() {
        func read(_ fields: String) -> String {
            let text = TinyModel.llamaConfig.dropLast() + ", \(fields)}"
            return message { try SourceConfig(huggingFace: directory.write(Array(text.utf8), "config.json")) }
        }
        for field in [
            "\"embedding_multiplier\": 12.0", "\"residual_multiplier\": 0.2", "\"attention_multiplier\": 0.1",
            "\"logits_scaling\": 8.0", "\"logit_scale\": 0.06", "\"final_logit_softcapping\": 30.0",
            "\"attn_logit_softcapping\": 50", "\"no_rope_layers\": [1, 0]", "\"no_rope_layer_interval\": 4",
            "\"clip_qkv\": 8.0", "\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
            "\"use_qk_norm\": true",
            "\"hidden_act_param\": 0.01", "\"num_local_experts\": 8", "\"sliding_window\": 8", "\"qkv_bias\": true",
            "\"auto_map\": {\"AutoModelForCausalLM\": \"modeling.Model\"}", "\"sliding_window\": \"8\"",
            "\"architectures\": [\"LlamaForSequenceClassification\"]", "\"architectures\": [\"OPTForCausalLM\"]",
            "\"quantization_config\": {\"quant_method\": \"awq\"}", "\"compression_config\": {\"x\": 1}",
            "\"head_dim\": 8.5", "\"rms_norm_eps\": NaN", "\"rope_theta\": -Infinity", "\"mlp_bias\": \"false\"",
        ] {
            let key = field.split(separator: "\"")[0]
            XCTAssertTrue(read(field).contains(": \(key): "), read(field))
        }
        for field in [
            "\"embedding_multiplier\": 1", "\"logits_scaling\": 1.0", "\"use_qk_norm\": false", "\"clip_qkv\": null",
            "\"layer_types\": [\"full_attention\", \"full_attention\"]", "\"sliding_window\": 16", "\"auto_map\": {}",
            "\"architectures\": [\"LlamaForCausalLM\"]", "\"pruned_heads\": {}", "\"num_local_experts\": 0",
            "\"use_sliding_window\": false, \"sliding_window\": 8", "\"quantization_config\": null",
        ] { XCTAssertEqual(read(field), "fine", field) }
        XCTAssertTrue(read("\"quantization_config\": {\"quant_method\": \"awq\"}").contains("awq"))
    }

    // MARK: Folders

    /// Transformers reads the single file if there is also an index.
    func testASingleFileComesBeforeAnIndex() throws {
        TinyModel.writeOPT(to: directory)
        _ = directory.write(
            Array("{\"weight_map\": {\"w\": \"gone.safetensors\"}}".utf8), "model.safetensors.index.json")
        XCTAssertEqual(try SafetensorsModel(path: directory.path).shards.count, 1)
    }

    func testFoldersThatLackAFileSayWhatThereIs() throws {
        func without(_ missing: String, _ other: String) throws -> String {
            TinyModel.writeOPT(to: directory)
            try FileManager.default.removeItem(atPath: directory.path + "/" + missing)
            let path = directory.write([1], other)
            defer { try? FileManager.default.removeItem(atPath: path) }
            return message { try nativeImage(directory.path) }
        }
        for (missing, other, word) in [
            ("model.safetensors", "pytorch_model.bin", "PyTorch"), ("model.safetensors", "x", "incomplete"),
            ("model.safetensors", "adapter_model.safetensors", "adapter"),
        ] {
            let message = try without(missing, other)
            XCTAssertTrue(message.contains("\(missing): is not there") && message.contains(word), message)
        }
    }

    func testSeedsOfTheFuzzDriverAreModels() throws {
        for name in ["llama", "opt"] {
            let seed = try MappedFile(path: Tool.root + "/Tests/EndToEndTests/FuzzCorpus/folder/" + name).contents
            let parts = seed.split(separator: 0, maxSplits: 2).map { Array($0) }
            let image = try nativeImage(config: inMemory(parts[0]), tokenizer: parts[1], weights: inMemory(parts[2]))
            XCTAssertEqual(try Model(NativeModelFile(image: image, verify: true)).config.architecture, name)
        }
    }

    func testGitLFSPointersAreNamed() {
        let pointer = Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".utf8)
        for name in ["model.safetensors", "config.json", "tokenizer.json"] {
            TinyModel.writeOPT(to: directory)
            _ = directory.write(pointer, name)
            let message = message { try nativeImage(directory.path) }
            XCTAssertTrue(message.contains(name) && message.contains("Git LFS pointer"), message)
        }
        let file = directory.write(pointer, "model.gguf")
        XCTAssertTrue(message { try Model(path: file) }.contains("Git LFS pointer"))
    }

    func testNamesThatAreNotUTF8AreExplained() {
        let message = message { try MappedFile(path: String(decoding: [0x61, 0xFF, 0x62] as [UInt8], as: UTF8.self)) }
        XCTAssertTrue(message.contains("not UTF-8"), message)
    }
}
