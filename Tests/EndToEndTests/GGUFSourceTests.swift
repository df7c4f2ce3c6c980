// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import TinySparse
import XCTest

/// Settings and files of source checkpoints in GGUF mean what they mean in llama.cpp 0.3.36's source, or are refused.
final class GGUFSourceTests: XCTestCase {
    private func config(_ more: (inout GGUFWriter) -> Void) throws -> ModelConfig {
        let bytes = TinyModel.gguf(TinyModel.llamaTensors()) {
            TinyModel.llamaMetadata(&$0)
            more(&$0)
        }
        return try SourceConfig(gguf: GGUFParts(GGUF(inMemory(bytes)))).config
    }

    func testSettingsThatAreNotUnderstoodAreRefused() {
        for (key, bad, neutral) in [
            ("attention.sliding_window", 8, 16), ("logit_scale", 2, 1), ("embedding_scale", 12, 1),
            ("residual_scale", 2, 0), ("attention.scale", 2, 0), ("rope.scaling.attn_factor", 2, 1),
            ("attention.clamp_kqv", 8, 0), ("attn_logit_softcapping", 30, 0), ("nextn_predict_layers", 1, 0),
            ("leading_dense_block_count", 1, 0), ("surprise", 0, nil),
        ] as [(String, Float, Float?)] {
            XCTAssertThrowsError(try config { $0.add("llama." + key, UInt32(bad)) }, key) {
                XCTAssertEqual(($0 as? FormatError)?.item, "llama." + key)
            }
            if let neutral { XCTAssertNoThrow(try config { $0.add("llama." + key, UInt32(neutral)) }, key) }
        }
        XCTAssertThrowsError(try config { $0.add("llama.use_parallel_residual", true) })
        XCTAssertNoThrow(try config { $0.add("llama.use_parallel_residual", false) })
        XCTAssertThrowsError(try config { $0.add("llama.hidden_activation", "tanh") })
        XCTAssertEqual(try config { $0.add("llama.hidden_activation", "relu") }.activation, .relu)
        XCTAssertNoThrow(try config { $0.add("llama.expert_count", UInt32(0)) })
        XCTAssertThrowsError(try config { $0.add("general.type", "adapter") })
        XCTAssertNoThrow(try config { $0.add("general.type", "model") })
    }

    /// `llama_model::load_hparams`: linear unless the file says otherwise, 0 is no factor.
    func testRopeScaling() throws {
        func scaling(_ more: (inout GGUFWriter) -> Void) throws -> Double {
            guard case .rope(let rope) = try config(more).positions else { return 0 }
            return rope.scaling
        }
        XCTAssertEqual(try scaling { $0.add("llama.rope.scaling.factor", Float(4)) }, 4)
        XCTAssertEqual(try scaling { $0.add("llama.rope.scale_linear", Float(2)) }, 2)
        XCTAssertEqual(try scaling { $0.add("llama.rope.scaling.factor", Float(0)) }, 1)
        func typed(_ type: String, _ factor: Float) throws -> Double {
            try scaling {
                $0.add("llama.rope.scaling.type", type)
                $0.add("llama.rope.scaling.factor", factor)
            }
        }
        XCTAssertEqual(try typed("none", 4), 1)
        XCTAssertEqual(try typed("linear", 4), 4)
        XCTAssertEqual(try typed("yarn", 4), 1)
        XCTAssertThrowsError(try typed("yarn", -4))
        XCTAssertThrowsError(try typed("longrope", 4))
        XCTAssertThrowsError(try typed("su", 4))
        XCTAssertEqual(try scaling { $0.add("llama.rope.scaling.type", "linear") }, 1)
    }

    /// What `gguf-split` makes of a model is the same model.
    func testSplitFiles() throws {
        let tensors = TinyModel.llamaTensors()
        let directory = TemporaryDirectory()
        func name(_ number: Int) -> String { "tiny-0000\(number + 1)-of-00003.gguf" }
        func write(_ number: Int, _ part: ArraySlice<TinyModel.Tensor>, no: Int? = nil, total: Int = tensors.count)
            -> String
        {
            let bytes = TinyModel.gguf(Array(part)) {
                if number == 0 { TinyModel.llamaMetadata(&$0) }
                $0.add("split.no", UInt32(no ?? number))
                $0.add("split.count", UInt32(3))
                $0.add("split.tensors.count", UInt32(total))
            }
            return directory.write(bytes, name(number))
        }
        func check(_ path: String, _ words: String...) {
            XCTAssertThrowsError(try nativeImage(path)) { error in
                for word in words { XCTAssertTrue("\(error)".contains(word), "\(error)") }
            }
        }
        let first = write(0, tensors[..<1])
        let second = write(1, tensors[1..<7])
        check(first, name(2), "No such file")
        _ = write(2, tensors[7...])
        XCTAssertEqual(
            try nativeImage(first).contents, try nativeImage(GGUF(inMemory(TinyModel.gguf(tensors)))).contents)
        check(second, "split.no", "open the first")
        _ = write(2, tensors[7...], no: 1)
        check(first, name(2), "is not part 2 of 3")
        _ = write(2, tensors[6...])
        check(first, name(2), tensors[6].name, "another part")
        _ = write(2, tensors[8...])
        check(first, "split.tensors.count")
        let renamed = directory.path + "/renamed.gguf"
        try FileManager.default.moveItem(atPath: first, toPath: renamed)
        check(renamed, "-00001-of-00003.gguf")
    }

    func testTensorsThatShareBytesAreRefused() throws {
        var bytes = TinyModel.llama()
        let tensors = try GGUF(inMemory(bytes)).tensors
        // The place of the last tensor stands at the end of the header.
        let last = try XCTUnwrap(bytes.firstRange(of: Array("output_norm.weight".utf8))).upperBound + 4 + 8 + 4
        let place = UInt64(tensors[tensors.count - 2].range.lowerBound - tensors[0].range.lowerBound)
        withUnsafeBytes(of: place) { bytes.replaceSubrange(last..<(last + 8), with: $0) }
        XCTAssertThrowsError(try GGUF(inMemory(bytes))) {
            XCTAssertTrue("\($0)".contains("output_norm.weight") && "\($0)".contains("shares bytes"), "\($0)")
        }
    }

    func testTypesThatCannotBeReadAreNamed() throws {
        for (number, name) in [(9, "Q8_1"), (16, "IQ2_XXS"), (29, "IQ1_M"), (31, "Q4_0_4_4"), (99, "type 99")] {
            var bytes = TinyModel.llama()
            let type = try XCTUnwrap(bytes.firstRange(of: Array("output_norm.weight".utf8))).upperBound + 4 + 8
            bytes[type] = UInt8(number)
            XCTAssertThrowsError(try nativeImage(GGUF(inMemory(bytes)))) {
                XCTAssertTrue("\($0)".contains("its type, \(name), is not supported"), "\($0)")
            }
        }
    }

    func testANameThatIsNotUTF8IsANote() throws {
        var bytes = TinyModel.llama()
        let name = try XCTUnwrap(bytes.firstRange(of: Array("Tiny".utf8)))
        bytes[name.lowerBound] = 0xFF
        var notes: [String] = []
        let image = try nativeImage(GGUF(inMemory(bytes))) { event in
            if case .note(let note) = event { notes.append(note) }
            return true
        }
        XCTAssertEqual(notes, ["the model's name is not UTF-8; what is not is replaced"])
        XCTAssertEqual(try ModelConfig(native: GGUF(image)).name, "\u{FFFD}iny")
    }

    func testVocabularies() throws {
        func image(_ spec: TokenizerSpec = TinyModel.spec, _ more: (inout GGUFWriter) -> Void = { _ in }) throws {
            let bytes = TinyModel.gguf(TinyModel.llamaTensors()) {
                TinyModel.llamaMetadata(&$0, spec: spec)
                more(&$0)
            }
            _ = try nativeImage(GGUF(inMemory(bytes)))
        }
        var spec = TinyModel.spec
        spec.tokens[9] = spec.tokens[7]
        var notes: [String] = []
        let bytes = TinyModel.gguf(TinyModel.llamaTensors()) { TinyModel.llamaMetadata(&$0, spec: spec) }
        _ = try nativeImage(GGUF(inMemory(bytes))) { event in
            if case .note(let note) = event { notes.append(note) }
            return true
        }
        XCTAssertEqual(notes, ["tokens with the text of another: 1; text becomes the last of them"])
        spec.merges = []
        XCTAssertThrowsError(try image(spec)) {
            XCTAssertEqual(($0 as? FormatError)?.item, "tokenizer.ggml.merges")
        }
        let lowercase = "tokenizer.ggml.normalizer.lowercase", table = "tokenizer.ggml.precompiled_charsmap"
        XCTAssertNoThrow(try image { $0.add(lowercase, false) })
        XCTAssertThrowsError(try image { $0.add(lowercase, true) }) {
            XCTAssertEqual(($0 as? FormatError)?.item, lowercase)
        }
        XCTAssertThrowsError(try image { $0.add(table, [Int32(1), 2]) }) {
            XCTAssertEqual(($0 as? FormatError)?.item, table)
        }
    }

    /// A file with nothing but a vocabulary, of an architecture that is not known.
    func testVocabulariesNeedNoArchitecture() throws {
        let bytes = TinyModel.gguf([]) {
            $0.add("general.architecture", "klingon")
            TinyModel.spec.write(to: &$0)
        }
        let directory = TemporaryDirectory()
        let spec = try TokenizerSpec(path: directory.write(bytes, "vocabulary.gguf"))
        XCTAssertEqual(try Tokenizer(spec).encode("t1 t2"), try Tokenizer(TinyModel.spec).encode("t1 t2"))
    }

    /// Character maps are read for the models that use them, and refused elsewhere, as are damaged ones.
    func testCharacterMaps() throws {
        let key = "tokenizer.ggml.precompiled_charsmap"
        func spec(_ model: String, _ map: [UInt8]) throws -> TokenizerSpec {
            var spec = TinyModel.spec
            spec.model = model
            let bytes = TinyModel.gguf([]) {
                $0.add("general.architecture", "llama")
                spec.write(to: &$0)
                $0.add(key, map)
            }
            let directory = TemporaryDirectory()
            return try TokenizerSpec(path: directory.write(bytes, "vocabulary.gguf"))
        }
        XCTAssertThrowsError(try spec("gpt2", [4, 0, 0, 0, 0, 0, 0, 0, 0])) {
            XCTAssertEqual(($0 as? FormatError)?.item, key)
        }
        XCTAssertNoThrow(try Tokenizer(spec("t5", [4, 0, 0, 0, 0, 0, 0, 0, 0])))
        for damaged: [UInt8] in [[1], [4, 0, 0, 0], [8, 0, 0, 0, 0, 0, 0, 0, 0], [255, 255, 255, 255, 0]] {
            XCTAssertThrowsError(try Tokenizer(spec("t5", damaged))) {
                XCTAssertTrue("\($0)".contains("map of characters is damaged"), "\($0)")
            }
        }
        let long = [4, 0, 0, 0, 0, 0, 0, 0] + Array(repeating: UInt8(ascii: "a"), count: 257)
        XCTAssertThrowsError(try Tokenizer(spec("t5", long))) {
            XCTAssertTrue("\($0)".contains("a replacement of more than 256 bytes"), "\($0)")
        }
    }

    /// Not taken for another one, in native files either.
    func testUnknownActivationsOfNativeFilesAreRefused() throws {
        var bytes = try TinyModel.native()
        bytes.replaceSubrange(try XCTUnwrap(bytes.firstRange(of: Array("silu".utf8))), with: Array("sinu".utf8))
        XCTAssertThrowsError(try NativeModelFile(image: inMemory(bytes), verify: false)) {
            XCTAssertEqual(($0 as? FormatError)?.item, "tinysparse.activation")
        }
    }

    /// llama.cpp's tools for generation and perplexity refuse to run with an end token after the prompt.
    func testNoEndTokenAfterAPrompt() throws {
        var spec = TinyModel.spec
        spec.addEOS = true
        let tokenizer = try Tokenizer(spec)
        XCTAssertEqual(tokenizer.encode("t1"), [1] + tokenizer.encode("t1", addSpecial: false))
        XCTAssertEqual(tokenizer.encode("t1", isComplete: true), tokenizer.encode("t1") + [2])
    }
}
