// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import TinySparse

/// Deterministic random numbers (SplitMix64).
struct TestRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

/// A directory that goes away with the object.
final class TemporaryDirectory {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "/formats-" + UUID().uuidString
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ bytes: [UInt8], _ name: String) -> String {
        let file = path + "/" + name
        try! Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    var contents: [String] { try! FileManager.default.contentsOfDirectory(atPath: path).sorted() }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

func inMemory(_ bytes: [UInt8]) throws -> MappedFile {
    // An empty mapping is no file.
    guard !bytes.isEmpty else { throw FormatError(.truncated, path: "memory", "is empty") }
    return try bytes.withUnsafeBytes { try MappedFile(copying: $0, named: "memory") }
}

/// Tiny random models in foreign formats.
enum TinyModel {
    static let (vocabulary, width, heads, kvHeads, headDim, neurons, layers, context) =
        (40, 32, 4, 2, 8, 96, 2, 16)

    typealias Tensor = (name: String, format: BlockFormat, dimensions: [Int], bytes: [UInt8])

    /// A llama as llama.cpp's converter writes it, every tensor in another type.
    static func llamaTensors(seed: UInt64 = 1) -> [Tensor] {
        var random = TestRandom(state: seed)
        let formats: [BlockFormat] = [.q4_0, .q4_1, .q8_0, .f16, .bf16, .f32]
        var tensors: [Tensor] = []
        func add(_ name: String, _ dimensions: [Int]) {
            let format = dimensions.count == 1 ? .f32 : formats[tensors.count % formats.count]
            tensors.append((name, format, dimensions, weights(format, dimensions, &random)))
        }
        add("token_embd.weight", [width, vocabulary])
        for layer in 0..<layers {
            let prefix = "blk.\(layer)."
            add(prefix + "attn_norm.weight", [width])
            add(prefix + "attn_q.weight", [width, heads * headDim])
            add(prefix + "attn_k.weight", [width, kvHeads * headDim])
            add(prefix + "attn_v.weight", [width, kvHeads * headDim])
            add(prefix + "attn_output.weight", [heads * headDim, width])
            add(prefix + "ffn_norm.weight", [width])
            add(prefix + "ffn_gate.weight", [width, neurons])
            add(prefix + "ffn_up.weight", [width, neurons])
            add(prefix + "ffn_down.weight", [neurons, width])
        }
        add("output_norm.weight", [width])
        return tensors
    }

    /// Random bytes of a block format whose half-precision scales are finite.
    static func weights(
        _ format: BlockFormat, _ dimensions: [Int], _ random: inout TestRandom
    ) -> [UInt8] {
        let count = dimensions.reduce(1, *)
        switch format {
        case .f32:
            return (0..<count).flatMap { _ in
                let value = Float.random(in: -1...1, using: &random)
                return withUnsafeBytes(of: value) { Array($0) }
            }
        default:
            var bytes = (0..<format.byteCount(of: count)!).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let halves = [BlockFormat.q4_1: [1, 3], .f16: [1], .bf16: [1]][format] ?? [1]
            for block in stride(from: 0, to: bytes.count, by: format.blockBytes) {
                for half in halves { bytes[block + half] &= 0xbf }
            }
            return bytes
        }
    }

    static let tokens: [[UInt8]] = (0..<vocabulary).map { Array("t\($0)".utf8) }

    static func llamaMetadata(_ writer: inout GGUFWriter) { llamaMetadata(&writer, spec: spec) }

    static func llamaMetadata(_ writer: inout GGUFWriter, spec: TokenizerSpec) {
        writer.add("general.architecture", "llama")
        writer.add("general.name", "Tiny")
        writer.add("general.license", "cc0-1.0")
        for (key, value) in [
            ("block_count", layers), ("context_length", context), ("embedding_length", width),
            ("feed_forward_length", neurons), ("attention.head_count", heads),
            ("attention.head_count_kv", kvHeads), ("vocab_size", vocabulary),
            ("rope.dimension_count", headDim),
        ] {
            writer.add("llama." + key, UInt32(value))
        }
        writer.add("llama.rope.freq_base", Float(500))
        writer.add("llama.attention.layer_norm_rms_epsilon", Float(1e-5))
        spec.write(to: &writer)
    }

    static let spec = TokenizerSpec(
        model: "gpt2", pre: "smollm", tokens: tokens,
        scores: (0..<vocabulary).map { -Double($0) },
        types: [Int32](repeating: 1, count: vocabulary),
        merges: [Array("t 1".utf8), Array("t 2".utf8)], bos: 1, eos: 2, unknown: 0, padding: 3,
        eot: 4, addBOS: true, addEOS: false, addSpacePrefix: false, chatTemplate: "{{ x }}")

    static func gguf(
        _ tensors: [Tensor], alignment: Int = 32, version: UInt8 = 3,
        metadata: (inout GGUFWriter) -> Void = llamaMetadata
    ) -> [UInt8] {
        var writer = GGUFWriter(alignment: alignment)
        metadata(&writer)
        for tensor in tensors {
            writer.addTensor(tensor.name, tensor.format, dimensions: tensor.dimensions)
        }
        let layout = writer.finish()
        var bytes = [UInt8](repeating: 0, count: layout.size)
        bytes.replaceSubrange(0..<layout.header.count, with: layout.header)
        bytes[4] = version
        for (range, tensor) in zip(layout.tensors, tensors) {
            bytes.replaceSubrange(range, with: tensor.bytes)
        }
        return bytes
    }

    static func llama(seed: UInt64 = 1) -> [UInt8] { gguf(llamaTensors(seed: seed)) }

    static func native() throws -> [UInt8] {
        try nativeImage(GGUF(inMemory(llama()))).contents
    }

    // MARK: Hugging Face

    typealias FloatTensor = (name: String, type: String, shape: [Int], bytes: [UInt8])

    static func safetensors(_ tensors: [FloatTensor]) -> [UInt8] {
        var data: [UInt8] = []
        var fields = ["\"__metadata__\":{\"format\":\"pt\"}"]
        for tensor in tensors {
            let end = data.count + tensor.bytes.count
            fields.append(
                "\"\(tensor.name)\":{\"dtype\":\"\(tensor.type)\",\"shape\":\(tensor.shape),"
                    + "\"data_offsets\":[\(data.count),\(end)]}")
            data += tensor.bytes
        }
        let header = Array("{\(fields.joined(separator: ","))}".utf8)
        var bytes: [UInt8] = []
        bytes.append(integer: UInt64(header.count))
        return bytes + header + data
    }

    /// An OPT model: biases, layer norms, learned positions with two rows to drop.
    static func optTensors(seed: UInt64 = 2) -> [FloatTensor] {
        var random = TestRandom(state: seed)
        let types: [(String, BlockFormat)] = [("F32", .f32), ("F16", .f16), ("BF16", .bf16)]
        var tensors: [FloatTensor] = []
        func add(_ name: String, _ shape: [Int]) {
            let (type, format) = types[tensors.count % 3]
            tensors.append((name, type, shape, weights(format, shape, &random)))
        }
        func linear(_ name: String, _ rows: Int, _ cols: Int) {
            add(name + ".weight", [rows, cols])
            add(name + ".bias", [rows])
        }
        func norm(_ name: String) {
            add(name + ".weight", [width])
            add(name + ".bias", [width])
        }
        let prefix = "model.decoder."
        add(prefix + "embed_tokens.weight", [vocabulary, width])
        add(prefix + "embed_positions.weight", [context + 2, width])
        for layer in 0..<layers {
            let prefix = prefix + "layers.\(layer)."
            for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                linear(prefix + "self_attn." + name, width, width)
            }
            norm(prefix + "self_attn_layer_norm")
            linear(prefix + "fc1", neurons, width)
            linear(prefix + "fc2", width, neurons)
            norm(prefix + "final_layer_norm")
        }
        norm(prefix + "final_layer_norm")
        return tensors
    }

    static let optConfig = """
        {"model_type": "opt", "vocab_size": \(vocabulary), "hidden_size": \(width),
         "num_hidden_layers": \(layers), "num_attention_heads": \(heads), "ffn_dim": \(neurons),
         "max_position_embeddings": \(context), "activation_function": "relu",
         "do_layer_norm_before": true, "word_embed_proj_dim": \(width), "bos_token_id": 1,
         "eos_token_id": 2}
        """

    static let llamaConfig = """
        {"model_type": "llama", "vocab_size": \(vocabulary), "hidden_size": \(width),
         "num_hidden_layers": \(layers), "num_attention_heads": \(heads),
         "num_key_value_heads": \(kvHeads), "intermediate_size": \(neurons),
         "max_position_embeddings": \(context), "hidden_act": "silu", "rms_norm_eps": 1e-5,
         "rope_theta": 500.0, "tie_word_embeddings": true}
        """

    static let tokenizerJSON: String = {
        let vocabulary = tokens.enumerated().map {
            "\"\(String(decoding: $1, as: UTF8.self))\": \($0)"
        }
        return """
            {"added_tokens": [], "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
             "trim_offsets": true, "use_regex": true},
             "model": {"type": "BPE", "vocab": {\(vocabulary.joined(separator: ", "))}, "merges": []}}
            """
    }()

    /// Writes an OPT model as the hub serves it.
    static func writeOPT(
        to directory: TemporaryDirectory, weights: [UInt8]? = nil, config: String = optConfig
    ) {
        _ = directory.write(weights ?? safetensors(optTensors()), "model.safetensors")
        _ = directory.write(Array(config.utf8), "config.json")
        _ = directory.write(Array(tokenizerJSON.utf8), "tokenizer.json")
    }
}
