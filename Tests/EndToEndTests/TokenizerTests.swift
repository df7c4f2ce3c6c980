// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// Tokenizers against llama.cpp's ids, and against hostile input.
final class TokenizerTests: XCTestCase {
    // MARK: - Fixtures

    /// See make_fixtures.py in the folder.
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/tokenizer")

    private func fixture(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: Self.folder.appendingPathComponent(name)))
    }

    private func spec(_ json: JSON, pre: String? = nil) throws -> TokenizerSpec {
        let texts = { (key: String) in
            json[key]?.array?.compactMap { $0.string.map { Array($0.utf8) } } ?? []
        }
        let id = { (key: String) in json[key]?.integer.map { Int32($0) } }
        var spec = TokenizerSpec(
            model: try XCTUnwrap(json["model"]?.string),
            pre: pre ?? json["pre"]?.string ?? "default", tokens: texts("tokens"),
            scores: json["scores"]?.array?.compactMap { $0.double.map { Double(Float($0)) } },
            types: json["types"]?.array?.compactMap { $0.integer.map { Int32($0) } },
            merges: texts("merges"), bos: id("bos"),
            eos: id("eos"), unknown: id("unknown"), addBOS: json["addBOS"]?.bool,
            addEOS: json["addEOS"]?.bool,
            addSpacePrefix: json["addSpacePrefix"]?.bool,
            removeExtraWhitespace: json["removeExtraWhitespace"]?.bool ?? false)
        spec.characterMap = json["map"]?.array?.compactMap { $0.integer.map { UInt8($0) } }
        return spec
    }

    /// A vocabulary of the fixtures: a byte-level one goes by the name of its pre-tokenizer.
    private func fixtureSpec(_ name: String) throws -> TokenizerSpec {
        let all = try JSON.parse(fixture("vocabularies.json"))
        if let json = all[name] { return try spec(json) }
        return try spec(try XCTUnwrap(all["byte-level"]), pre: name)
    }

    private static let names = [
        "smollm", "gpt-2", "llama-bpe", "qwen2", "default", "spm", "spm-across", "unigram",
        "unigram-plain", "unigram-map", "gemma4", "falcon", "deepseek-llm", "deepseek-v3", "gpt-4o", "tekken",
    ]

    // MARK: - Ids

    func testIdsEqualLlamaCpp() throws {
        let text = try fixture("hard.txt")
        let expected = try JSON.parse(fixture("expected.json"))
        for (name, list) in try XCTUnwrap(expected.object) {
            let tokenizer = try Tokenizer(fixtureSpec(name))
            let ids = try XCTUnwrap(list.array).compactMap {
                $0.integer.map { Int32($0) }
            }
            // llama-tokenize adds special tokens only if the model wants BOS.
            XCTAssertEqual(
                tokenizer.encode(text, addSpecial: tokenizer.addsBOS, parseSpecial: true), ids, name
            )
        }
    }

    /// Whole vocabularies and long texts: for each NAME.json (a vocabulary as in vocabularies.json)
    /// in the folder that the variable names, and each NAME.*.txt, the ids of NAME.*.ids.
    func testIdsOfLargeVocabularies() throws {
        guard let path = ProcessInfo.processInfo.environment["TINYSPARSE_TOKENIZERS"] else {
            throw XCTSkip("TINYSPARSE_TOKENIZERS names no folder")
        }
        let folder = URL(fileURLWithPath: path)
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil)
        for idsFile in files where idsFile.pathExtension == "ids" {
            let stem = idsFile.deletingPathExtension()
            let name = stem.deletingPathExtension().lastPathComponent
            let json = try JSON.parse(
                [UInt8](Data(contentsOf: folder.appendingPathComponent("\(name).json"))))
            let text = [UInt8](try Data(contentsOf: stem.appendingPathExtension("txt")))
            let ids = try JSON.parse([UInt8](Data(contentsOf: idsFile))).array?.compactMap {
                $0.integer.map { Int32($0) }
            }
            XCTAssertEqual(
                try Tokenizer(spec(json)).encode(text, parseSpecial: true), ids,
                stem.lastPathComponent)
        }
    }

    func testDecodingReversesEncoding() throws {
        // A space mark in the text comes back as a space, in llama.cpp too.
        let text = String(decoding: try fixture("hard.txt"), as: UTF8.self).replacing(
            "\u{2581}", with: "_")
        for name in ["llama-bpe", "spm", "spm-across"] {
            let spec = try fixtureSpec(name)
            let tokenizer = try Tokenizer(spec)
            // The small byte-level vocabulary lacks some bytes, as SmolLM2's does: their ids are
            // lost in llama.cpp too.
            let sample = name == "llama-bpe" ? "It's 1234 words\n\n  naïve, 日本 👩‍👧" : text
            XCTAssertEqual(tokenizer.decode(tokenizer.encode(sample)), sample, name)
        }
    }

    func testTextIsNotTakenForControlTokens() throws {
        let tokenizer = try Tokenizer(fixtureSpec("smollm"))
        let marker = try XCTUnwrap(tokenizer.id(of: "<|im_start|>"))
        XCTAssertEqual(tokenizer.encode("<|im_start|>", parseSpecial: true), [marker])
        XCTAssertFalse(
            tokenizer.encode("a<|im_start|>b<|im_end|>").contains { tokenizer.isControl($0) })
        XCTAssertTrue(tokenizer.isEndOfGeneration(try XCTUnwrap(tokenizer.id(of: "<|im_end|>"))))
    }

    func testIdsOutsideTheVocabulary() throws {
        let tokenizer = try Tokenizer(fixtureSpec("smollm"))
        for id in [-1, Int32(tokenizer.vocabularySize), .min, .max] {
            XCTAssertEqual(tokenizer.piece(of: id), [])
            XCTAssertFalse(tokenizer.isControl(id))
            XCTAssertFalse(tokenizer.isEndOfGeneration(id))
        }
    }

    /// A million equal letters are one word of a million symbols. (In the quick tier a fiftieth of them, unoptimized.)
    func testLongWordsAreNotQuadratic() throws {
        let clock = ContinuousClock()
        let length = TestTier.count(1 << 20), limit = Duration.seconds(TestTier.isFull ? 30 : 5)
        for name in [
            "smollm", "llama-bpe", "spm", "spm-across", "unigram", "gemma4", "gpt-4o", "tiny_aya", "bailingmoe",
        ] {
            let tokenizer = try Tokenizer(fixtureSpec(name))
            for byte in [UInt8(ascii: "a"), UInt8(ascii: " "), 0xE2] {
                let time = clock.measure {
                    _ = tokenizer.encode(Array(repeating: byte, count: length), parseSpecial: true)
                }
                XCTAssertLessThan(time, limit, "\(name) \(byte)")
            }
        }
    }

    /// As in llama.cpp, whose map of texts keeps the last.
    func testOfTokensOfOneTextTheLastIsUsed() throws {
        for name in ["smollm", "spm"] {
            let old = try fixtureSpec(name)
            var spec = old
            let ids = try Tokenizer(old).encode("Hello world, hello", addSpecial: false)
            let (first, last) = (try XCTUnwrap(ids.last), Int32(old.tokens.count))
            spec.tokens.append(old.tokens[Int(first)])
            spec.types?.append(old.types![Int(first)])
            spec.scores?.append(old.scores![Int(first)])
            let tokenizer = try Tokenizer(spec)
            let wanted = ids.map { $0 == first ? last : $0 }
            XCTAssertEqual(tokenizer.encode("Hello world, hello", addSpecial: false), wanted, name)
            XCTAssertEqual(tokenizer.piece(of: first), tokenizer.piece(of: last), name)
            XCTAssertEqual(tokenizer.decode(ids), tokenizer.decode(wanted), name)
        }
    }

    // MARK: - Known words

    /// More words than are remembered at a time, some of them longer than any that is.
    func testKnownWordsHaveTheIdsOfNewOnes() throws {
        var random = SplitMix64(state: 2)
        let letters = Array("abcdefghijklmnopqrstuvwxyz".utf8)
        var words = (0..<TestTier.count(60_000)).map { _ in
            let length = Int.random(in: 0..<50, using: &random) == 0 ? 200 : Int.random(in: 1...20, using: &random)
            return [UInt8(ascii: " ")] + (0..<length).map { _ in letters.randomElement(using: &random)! }
        }
        words += words.shuffled(using: &random)
        for name in ["smollm", "llama-bpe"] {
            let tokenizer = try Tokenizer(fixtureSpec(name))
            let alone = words.flatMap { tokenizer.encode($0, addSpecial: false) }
            XCTAssertTrue(tokenizer.encode(Array(words.joined()), addSpecial: false) == alone, name)
        }
    }

    /// Lines are cut where no rule can join, which changes nothing.
    func testLinesMergeAsAWhole() throws {
        var random = SplitMix64(state: 3)
        let mark = "\u{2581}"
        let symbols = ["a", "b", ">", "<", mark, "\u{201}"]
        let bytes = (0..<256).map { "<0x" + String(format: "%02X", $0) + ">" }
        for _ in 0..<40 {
            var tokens = symbols
            var rules: [String] = []
            while rules.count < 12 {
                let (left, right) = (tokens.randomElement(using: &random)!, tokens.randomElement(using: &random)!)
                // Few rules join with a mark.
                if right.hasPrefix(mark), Bool.random(using: &random) { continue }
                guard !tokens.contains(left + right) else { continue }
                tokens.append(left + right)
                rules.append("\(left) \(right)")
            }
            tokens += bytes
            rules.append("<0x63> \(mark)")
            tokens.append("<0x63>\(mark)")
            let tokenizer = try Tokenizer(
                TokenizerSpec(
                    model: "gemma4", pre: "gemma4", tokens: tokens.map { Array($0.utf8) },
                    merges: rules.map { Array($0.utf8) }))
            for _ in 0..<20 {
                let line = (0..<40).map { _ in
                    ["a", "b", ">", "<", "c", " ", " ", "\u{201}"].randomElement(using: &random)!
                }
                let parts = line.map { $0 == " " ? mark : $0 == "c" ? "<0x63>" : $0 }
                XCTAssertEqual(
                    tokenizer.encode(line.joined(), addSpecial: false),
                    merged(parts, rules).compactMap { tokens.firstIndex(of: $0).map { Int32($0) } }, "\(rules) \(line)")
            }
        }
    }

    /// The definition of byte-pair encoding: the first rule that applies, at the first place.
    private func merged(_ parts: [String], _ rules: [String]) -> [String] {
        var parts = parts
        while true {
            let ranks = zip(parts, parts.dropFirst()).map { rules.firstIndex(of: "\($0) \($1)") ?? .max }
            guard let best = ranks.min(), best < .max, let place = ranks.firstIndex(of: best) else { return parts }
            parts[place] += parts.remove(at: place + 1)
        }
    }

    // MARK: - Malformed vocabularies

    func testMalformedVocabulariesAreErrors() throws {
        func check(
            _ name: String, _ expected: TokenizerError, _ change: (inout TokenizerSpec) -> Void
        ) throws {
            var spec = try fixtureSpec(name)
            change(&spec)
            XCTAssertThrowsError(try Tokenizer(spec)) {
                XCTAssertEqual($0 as? TokenizerError, expected)
            }
        }
        try check("smollm", .unsupportedModel("bert")) { $0.model = "bert" }
        try check("smollm", .unsupportedPreTokenizer("klingon")) { $0.pre = "klingon" }
        try check("smollm", .badTokenCount(0)) { $0.tokens = [] }
        try check("smollm", .tokenTooLong(id: 5, bytes: 70000)) {
            $0.tokens[5] = Array(repeating: 65, count: 70000)
        }
        try check("smollm", .malformedMerge(7)) { $0.merges[7] = Array("ab".utf8) }
        try check("smollm", .malformedMerge(8)) { $0.merges[8] = Array("a ".utf8) }
        try check("smollm", .malformedMerge(9)) { $0.merges[9] = [] }
        try check("smollm", .countMismatch(field: "token types", expected: 873, found: 872)) {
            _ = $0.types?.popLast()
        }
        try check("smollm", .idOutOfRange(field: "EOS", id: 873)) { $0.eos = 873 }
        try check("smollm", .idOutOfRange(field: "BOS", id: -2)) { $0.bos = -2 }
        try check("spm", .missing(field: "scores")) { $0.scores = nil }
        try check("spm", .countMismatch(field: "scores", expected: 657, found: 656)) {
            _ = $0.scores?.popLast()
        }
        try check("spm", .badScore(id: 300)) { $0.scores?[300] = .nan }
        try check("unigram", .missing(field: "unknown token id")) { $0.unknown = nil }
    }

    /// Whatever a vocabulary holds, encoding ends and decoding yields something.
    func testStrangeVocabularies() throws {
        let text = try fixture("hard.txt")
        var random = SplitMix64(state: 1)
        for name in Self.names {
            for _ in 0..<20 {
                var spec = try fixtureSpec(name)
                for _ in 0..<200 {
                    let i = Int.random(in: 0..<spec.tokens.count, using: &random)
                    spec.tokens[i] = (0..<Int.random(in: 0..<6, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }
                    spec.types?[i] = Int32.random(in: -1...8, using: &random)
                    spec.scores?[i] = [-Double.infinity, .infinity, 0, 1e30].randomElement(
                        using: &random)!
                    if !spec.merges.isEmpty {
                        spec.merges[Int.random(in: 0..<spec.merges.count, using: &random)] = Array(
                            "\u{C4}x <".utf8)
                    }
                }
                guard let tokenizer = try? Tokenizer(spec) else { continue }
                _ = tokenizer.decode(tokenizer.encode(text, parseSpecial: true), skipSpecial: false)
            }
        }
    }

    // MARK: - tokenizer.json

    /// The fixture's byte-level vocabulary written as a tokenizer.json.
    private func huggingFaceJSON(preTokenizer: String, pairs: Bool) throws -> String {
        let spec = try fixtureSpec("smollm")
        let text = { (bytes: [UInt8]) in String(decoding: bytes, as: UTF8.self) }
        let vocabulary = spec.tokens.enumerated().map { "\(JSON.quoted(text($1))):\($0)" }.joined(
            separator: ",")
        let merges = spec.merges.map {
            let parts = text($0).split(separator: " ").map { JSON.quoted(String($0)) }
            return pairs ? "[\(parts[0]),\(parts[1])]" : JSON.quoted(text($0))
        }.joined(separator: ",")
        let added = spec.types!.enumerated().filter { $1 == 3 }.map {
            "{\"id\":\($0.offset),\"content\":\(JSON.quoted(text(spec.tokens[$0.offset]))),\"special\":true}"
        }.joined(separator: ",")
        return """
            {"version":"1.0","added_tokens":[\(added)],"normalizer":null,"pre_tokenizer":\(preTokenizer),
            "model":{"type":"BPE","dropout":null,"unk_token":null,"vocab":{\(vocabulary)},"merges":[\(merges)]}}
            """
    }

    func testHuggingFaceByteLevel() throws {
        let text = try fixture("hard.txt")
        let expected = try JSON.parse(fixture("expected.json"))
        let byteLevel = #"{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}"#
        let digits =
            #"{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},\#(byteLevel)]}"#
        // Where the vocabulary lacks a byte, llama.cpp and the library differ; see HuggingFaceTokenizerTests.
        for (name, preTokenizer, pairs) in [("gpt-2", byteLevel, false), ("smollm", digits, true)] {
            let json = Array(try huggingFaceJSON(preTokenizer: preTokenizer, pairs: pairs).utf8)
            let config = Array(
                #"{"bos_token":"<|im_start|>","eos_token":{"content":"<|im_end|>"}}"#.utf8)
            let spec = try TokenizerSpec(huggingFaceTokenizerJSON: json, config: config)
            XCTAssertEqual(spec.eos, 2)
            let ids = try Tokenizer(spec).encode(text, parseSpecial: true)
            XCTAssertEqual(ids, expected[name]?.array?.compactMap { $0.integer.map { Int32($0) } })
        }
        let unknown = Array(
            try huggingFaceJSON(preTokenizer: #"{"type":"UnicodeScripts"}"#, pairs: true).utf8)
        XCTAssertThrowsError(try TokenizerSpec(huggingFaceTokenizerJSON: unknown)) {
            XCTAssertEqual($0 as? TokenizerError, .unsupportedPreTokenizer("UnicodeScripts"))
        }
        let wordPiece = Array(#"{"model":{"type":"WordPiece"}}"#.utf8)
        XCTAssertThrowsError(try TokenizerSpec(huggingFaceTokenizerJSON: wordPiece)) {
            XCTAssertEqual($0 as? TokenizerError, .unsupportedModel("WordPiece"))
        }
    }

    func testMutatedHuggingFaceFilesNeverTrap() throws {
        let byteLevel = #"{"type":"ByteLevel","add_prefix_space":false}"#
        let original = Array(try huggingFaceJSON(preTokenizer: byteLevel, pairs: false).utf8)
        var random = SplitMix64(state: 2)
        var accepted = 0
        for _ in 0..<300 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let i = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[i] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[i] = Array("{}[],:\"0-\\".utf8).randomElement(using: &random)!
                case 2: bytes.removeSubrange(i..<min(bytes.count, i + 5))
                default: bytes = Array(bytes.prefix(max(1, i)))
                }
            }
            if let spec = try? TokenizerSpec(huggingFaceTokenizerJSON: bytes),
                let tokenizer = try? Tokenizer(spec)
            {
                accepted += tokenizer.encode("hello 12 worlds").isEmpty ? 0 : 1
            }
        }
        XCTAssertGreaterThan(accepted, 0)
    }
}
