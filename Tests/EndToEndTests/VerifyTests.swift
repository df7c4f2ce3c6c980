// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// Recorded outputs: the file, and finding what differs from it.
final class VerifyTests: XCTestCase {
    private static let model = try! Model(path: Tool.fixture("tiny-llama.gguf"))

    private func record(_ options: Session.Options = .init(threads: 1)) throws -> GoldenRecord {
        try .record(
            Self.model, prompts: ["Once", "", "1+1"], writing: 8, options: options, provenance: ["by a test"])
    }

    func testFileSaysAll() throws {
        let reference = try record()
        XCTAssertEqual(try GoldenRecord(parsing: reference.description), reference)
        XCTAssertEqual(reference.texts.map(\.promptCount).min(), 1)
        XCTAssertEqual(reference.texts[0].positions.count, reference.texts[0].promptCount + 8)
        XCTAssertEqual(reference.texts[0].positions[0].layers.count, 2)
    }

    /// The numpy implementation makes the same hashes.
    func testHashesAreThoseOfTheIndependentReference() throws {
        let tokens = try String(contentsOfFile: Tool.fixture("tiny-llama.tokens.txt"), encoding: .utf8)
            .split(whereSeparator: { $0 == "," || $0 == "\n" }).map(String.init)
        let hashes = try String(contentsOfFile: Tool.fixture("tiny-llama.dense.hashes.txt"), encoding: .utf8)
        let lines = hashes.split(separator: "\n").enumerated().map { index, line in
            let words = line.split(separator: " ", maxSplits: 1)
            return "\(words[0]) \(tokens[index]) \(words[1])"
        }
        let head = ["tinysparse reference 2", "contract 1", "model 0", "text dense 0 \"\""] + lines
        let file = (head + ["end \(head.count)"]).joined(separator: "\n")
        var reference = try GoldenRecord(parsing: file)
        // As if all of them were the prompt: nothing was written here.
        reference.texts[0].prompt = Self.model.tokenizer.decode(tokens.map { Int32($0)! })
        reference.texts[0].promptCount = tokens.count
        let difference = try reference.firstDifference(Self.model, .init(threads: 2))
        // Random tokens are not what the tokenizer makes of their text; the hashes are compared below.
        if let difference { XCTAssertEqual(difference.what, .tokenOfPrompt) }
        let session = try Session(Self.model, .init(threads: 1))
        var computed: [UInt64] = []
        try session.evaluate(tokens.map { Int32($0)! }, logitsFrom: 0) { _, logits in
            computed.append(xxHash64(UnsafeRawBufferPointer(logits)))
        }
        XCTAssertEqual(computed, reference.texts[0].positions.map(\.logits))
    }

    func testEveryKernelSetAgrees() throws {
        let reference = try record()
        for kernels in ["scalar", nil] {
            for block in [1, 3, 64] {
                let options = Session.Options(threads: 2, blockSize: block, kernels: kernels)
                XCTAssertNil(try reference.firstDifference(Self.model, options))
                XCTAssertEqual(try record(options).texts, reference.texts)
            }
        }
    }

    /// The screen's hashes are the numpy implementation's, and those of every kernel set.
    func testTheScreenIsVerifiedToo() throws {
        let model = try Model(path: Tool.fixture("tiny-llama-screen.gguf"))
        let reference = try GoldenRecord.record(
            model, prompts: ["Once"], writing: 8, options: .init(threads: 1), provenance: [])
        XCTAssertEqual(reference.texts.map(\.mode), [.dense, .screened])
        for kernels in ["scalar", nil] {
            XCTAssertNil(try reference.firstDifference(model, .init(threads: 2, kernels: kernels)))
        }
        let tokens = try String(contentsOfFile: Tool.fixture("tiny-llama-screen.tokens.txt"), encoding: .utf8)
            .split(whereSeparator: { $0 == "," || $0 == "\n" }).map { Int32($0)! }
        let wanted = try String(contentsOfFile: Tool.fixture("tiny-llama-screen.screened1.hashes.txt"), encoding: .utf8)
            .split(separator: "\n").map { UInt64($0.split(separator: " ")[1], radix: 16)! }
        let session = try Session(model, .init(threads: 1, screensHead: true))
        XCTAssertEqual(try session.outputs(of: tokens).positions.map(\.logits), wanted)
    }

    func testDifferencesAreNamed() throws {
        let good = try record()
        func difference(_ change: (inout GoldenRecord.Text) -> Void) throws -> GoldenRecordDifference? {
            var bad = good
            change(&bad.texts[0])
            return try bad.firstDifference(Self.model, .init(threads: 1))
        }
        let layer = try XCTUnwrap(difference { $0.positions[2].layers[1] ^= 1 })
        XCTAssertEqual(layer.position, 2)
        XCTAssertEqual(layer.what, .layer(1))
        XCTAssertEqual(layer.description, "dense, prompt \"Once\": at position 2 the output of layer 1 differs")
        XCTAssertNil(try layer.firstElement(Self.model, .init(kernels: "scalar"), .init()))
        XCTAssertEqual(try difference { $0.positions[3].logits ^= 1 }?.what, .logits)
        XCTAssertEqual(try difference { $0.positions[0].token ^= 1 }?.what, .tokenOfPrompt)
        XCTAssertEqual(try difference { $0.positions[$0.promptCount].token ^= 1 }?.what, .tokenWritten)
        XCTAssertEqual(try difference { $0.positions[1].layers.removeLast() }?.what, .layerCount)
    }

    func testBadFilesAreRefused() throws {
        let first = "tinysparse reference 2\ncontract 1\n"
        for (text, line) in [
            ("", 1), ("tinysparse reference 1", 1), (first + "model xyz", 3), ("tinysparse reference 2\ncontract 2", 2),
            (first + "0 1 2", 3), (first + "text dense 1 \"a\"\n1 1 2", 4), ("tinysparse reference 2\nend 1", 1),
            (first + "text odd 1 \"a\"", 3), (first + "text dense 1 a", 3), (first + "end 3", 3),
            (first + "end 2\nmade", 4),
            (first + "text dense 2 \"a\"\n0 1 2\nend 4", 1),
        ] {
            XCTAssertThrowsError(try GoldenRecord(parsing: text)) {
                XCTAssertEqual(($0 as? GoldenRecordError)?.line, line)
            }
        }
    }

    /// A file that was cut anywhere, or lost a line, is an error and not a shorter comparison.
    func testEveryCutIsSeen() throws {
        let lines = try record().description.split(separator: "\n")
        for count in 0..<lines.count {
            XCTAssertThrowsError(try GoldenRecord(parsing: lines.prefix(count).joined(separator: "\n")), "\(count)")
        }
        for lost in lines.indices {
            var rest = lines
            rest.remove(at: lost)
            XCTAssertThrowsError(try GoldenRecord(parsing: rest.joined(separator: "\n")), "\(lost)")
        }
        // Within lines, too: of the last ones at every byte.
        let bytes = Array(try record().description.utf8)
        for count in Array(stride(from: 0, to: bytes.count - 200, by: 97)) + Array(bytes.count - 200..<bytes.count - 1)
        {
            XCTAssertThrowsError(
                try GoldenRecord(parsing: String(decoding: bytes[..<count], as: UTF8.self)), "\(count)")
        }
    }

    func testCommand() throws {
        let directory = TemporaryDirectory()
        let file = directory.path + "/reference.txt"
        let model = Tool.fixture("tiny-opt.gguf")
        let common = ["verify", model, "-t", "1,3", "--blocks", "2,64"]
        XCTAssertEqual(try Tool.run(Tool.tinysparse, common + ["--record", file]).code, 0)
        let equal = try Tool.run(Tool.tinysparse, common + ["--reference", file])
        XCTAssertEqual(equal.code, 0, equal.errors)
        XCTAssert(equal.output.contains("scalar, 3 threads, blocks of 64: "), equal.output)

        var reference = try GoldenRecord(parsing: String(contentsOfFile: file, encoding: .utf8))
        reference.texts[1].positions[4].layers[0] = 7
        _ = directory.write(Array(reference.description.utf8), "reference.txt")
        let different = try Tool.run(Tool.tinysparse, common + ["--reference", file])
        XCTAssertEqual(different.code, 1)
        XCTAssert(different.errors.contains("at position 4 the output of layer 0 differs"), different.errors)
        let other = try Tool.run(
            Tool.tinysparse, ["verify", Tool.fixture("tiny-llama.gguf"), "--reference", file])
        XCTAssertEqual(other.code, 1)
        XCTAssert(other.errors.contains("of another model"), other.errors)
    }
}
