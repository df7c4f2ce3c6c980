// SPDX-License-Identifier: Apache-2.0

import TinySparse
import TinySparseC
import XCTest

/// Programs in C that use the static library, one with its model inside.
final class CInterfaceTests: XCTestCase {
    /// Compiles a source file of Examples.
    private func build(_ source: String, _ options: [String] = [], in directory: TemporaryDirectory) throws -> String {
        #if DEBUG
        // A debug archive leaves specialized generics of the standard library undefined, which only swiftc would supply.
        throw XCTSkip("SKIPPED: in the full tier only: swift test -c release")
        #else
        return try buildWithArchive(source, options, in: directory)
        #endif
    }

    private func buildWithArchive(
        _ source: String, _ options: [String], in directory: TemporaryDirectory
    ) throws -> String {
        let library = Tool.products + "/libTinySparseStatic.a"
        guard FileManager.default.fileExists(atPath: library) else {
            throw XCTSkip("swift build --product TinySparseStatic makes the library")
        }
        try Tool.need("/usr/bin/cc", "there is no C compiler")
        let examples = Tool.root + "/Examples/", output = directory.path + "/program"
        let result = try Tool.run(
            examples + "C/cc-tinysparse", [library, output, "-Wall", "-Werror"] + options + [examples + source])
        XCTAssertEqual(result.code, 0, result.errors)
        return output
    }

    /// The greedy text in Swift.
    private func expected(_ path: String, _ prompt: String, _ count: Int) throws -> String {
        var options = GenerationOptions()
        options.maxTokens = count
        options.sampling.temperature = 0
        var text = ""
        try Session(Model(path: path), .init(threads: 1)).generate(prompt, options) {
            text += $0
            return true
        }
        return text
    }

    func testEveryFunction() throws {
        let directory = TemporaryDirectory()
        let program = try build("C/interface.c", in: directory)
        let model = Tool.fixture("tiny-llama-relu.gguf")
        let result = try Tool.run(program, [model, "Once", directory.path + "/once.state"])
        XCTAssertEqual(result.code, 0, result.errors)
        let text = try expected(model, "Once", 5)
        for start in ["\n", "\nfetched: ", "\nbatch: "] {
            XCTAssert(result.output.contains("\(start)\(text)\nreason: 1\n"), result.output)
        }
    }

    func testModelInsideTheProgram() throws {
        let directory = TemporaryDirectory()
        let model = Tool.fixture("tiny-opt.gguf")
        let program = try build("EmbeddedModel/embedded.c", ["-DMODEL_FILE=\"\(model)\""], in: directory)
        let result = try Tool.run(program, ["Once"])
        XCTAssertEqual(result.code, 0, result.errors)
        XCTAssertEqual(result.output, try expected(model, "Once", 16) + "\n")
    }

    func testASessionCanBeSparse() throws {
        let path = Tool.fixture("tiny-opt-predictors.gguf")
        let model = try XCTUnwrap(tinysparseModelOpen(path, nil, nil, 0))
        defer { tinysparseModelClose(model) }
        func logits(_ options: String) throws -> [Float] {
            var status: Int32 = -1
            let session = try XCTUnwrap(tinysparseSessionOpen(model, options, &status, nil, 0), options)
            defer { tinysparseSessionClose(session) }
            XCTAssertEqual(tinysparseRead(session, [1, 2, 3], 3, nil, 0), 0)
            return Array(
                UnsafeBufferPointer(start: tinysparseLogits(session), count: Int(tinysparseVocabularySize(model))))
        }
        for sparsity in [Sparsity.off, .predicted()] {
            let session = try Session(Model(path: path), .init(threads: 1, sparsity: sparsity))
            try session.evaluate([1, 2, 3])
            let name = if case .off = sparsity { "off" } else { "predicted" }
            XCTAssertEqual(
                try logits("{\"threads\": 1, \"sparsity\": \"\(name)\", \"lm_head_screen\": true}"),
                Array(session.logits))
        }
        var status: Int32 = 0
        XCTAssertNil(tinysparseSessionOpen(model, "{\"lm_head_screen\": 1}", &status, nil, 0))
        XCTAssertNotEqual(status, 0)
    }

    /// Messages instead of a prompt, read as far as they are new.
    func testConversations() throws {
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        defer { tinysparseModelClose(model) }
        let session = try XCTUnwrap(tinysparseSessionOpen(model, #"{"threads": 1}"#, nil, nil, 0))
        defer { tinysparseSessionClose(session) }
        func generate(_ prompt: String, _ options: String) -> (status: Int32, message: String, tokens: Int) {
            var message = [CChar](repeating: 0, count: 200)
            let status = tinysparseGenerate(
                session, prompt, prompt.utf8.count, options, nil, nil, nil, &message, message.count)
            let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return (status, text, tinysparsePosition(session))
        }
        let template = #""chat_template": "{% for m in messages %}{{ m.role ~ ' ' ~ m.content }}{% endfor %}""#
        let messages = #""messages": [{"role": "user", "content": "Once"}]"#
        let plain = generate("user Once", #"{"max_tokens": 0}"#)
        XCTAssertEqual(plain.status, 0, plain.message)
        for _ in 0..<2 {
            let framed = generate("", "{\(messages), \(template), \"max_tokens\": 0}")
            XCTAssertEqual(framed.status, 0, framed.message)
            XCTAssertEqual(framed.tokens, plain.tokens)
        }
        for (prompt, options, status, message) in [
            ("", "{\(messages)}", 2, "no chat template"), ("x", "{\(messages), \(template)}", 2, "cannot be combined"),
            ("", "{\(messages), \"chat_template\": \"{{\"}", 1, "line 1"),
            ("", "{\(messages), \"chat_template\": \"{{ raise_exception('no') }}\"}", 2, "line 1: no"),
        ] as [(String, String, Int32, String)] {
            let outcome = generate(prompt, options)
            XCTAssertEqual(outcome.status, status, outcome.message)
            XCTAssert(outcome.message.contains(message), outcome.message)
            XCTAssertEqual(outcome.tokens, plain.tokens)
        }
    }

    /// A text fetched piece by piece is the one of the callback, and is not mixed up with what the session does meanwhile.
    func testTextsThatAreFetched() throws {
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        defer { tinysparseModelClose(model) }
        let session = try XCTUnwrap(tinysparseSessionOpen(model, #"{"threads": 1}"#, nil, nil, 0))
        let options = #"{"max_tokens": 24, "seed": 7}"#
        var text = try XCTUnwrap(tinysparseTextOpen(session, "Once", 4, options, nil, nil, 0))
        // The text keeps its session, and the session its model.
        tinysparseSessionClose(session)
        var bytes: [UInt8] = [], reason: Int32 = -1
        while reason == -1 {
            var piece: UnsafePointer<CChar>?, size = 0
            XCTAssertEqual(tinysparseTextNext(text, &piece, &size, &reason, nil, 0), 0)
            let fetched = UnsafeBufferPointer(start: piece, count: size).map { UInt8(bitPattern: $0) }
            XCTAssertNotNil(String(validating: fetched, as: UTF8.self))
            bytes += fetched
        }
        // What has ended has no more pieces.
        var size = 1
        XCTAssertEqual(tinysparseTextNext(text, nil, &size, nil, nil, 0), 0)
        XCTAssertEqual(size, 0)
        tinysparseTextClose(text)
        var expected = "", sampled = GenerationOptions()
        (sampled.maxTokens, sampled.sampling.seed) = (24, 7)
        try Session(Model(path: Tool.fixture("tiny-llama.gguf")), .init(threads: 1)).generate("Once", sampled) {
            expected += $0
            return true
        }
        XCTAssertEqual(String(decoding: bytes, as: UTF8.self), expected)

        let other = try XCTUnwrap(tinysparseSessionOpen(model, #"{"threads": 1}"#, nil, nil, 0))
        defer { tinysparseSessionClose(other) }
        for change in [{ tinysparseRewind(other, 0) }, { _ = tinysparseRead(other, [1], 1, nil, 0) }] {
            text = try XCTUnwrap(tinysparseTextOpen(other, "Once", 4, options, nil, nil, 0))
            XCTAssertEqual(tinysparseTextNext(text, nil, nil, nil, nil, 0), 0)
            change()
            XCTAssertEqual(tinysparseTextNext(text, nil, nil, nil, nil, 0), 2)
            tinysparseTextClose(text)
        }
        for wrong in [nil, other] {
            XCTAssertNil(tinysparseTextOpen(wrong == nil ? nil : model, "a", 1, nil, nil, nil, 0))
            XCTAssertEqual(tinysparseTextNext(wrong, nil, nil, nil, nil, 0), 2)
            tinysparseTextClose(wrong)
        }
    }

    func testHandlesThatAreNone() throws {
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        let session = try XCTUnwrap(tinysparseSessionOpen(model, nil, nil, nil, 0))
        let badOption: Int32 = 2
        for wrong in [nil, session] as [OpaquePointer?] {
            var status: Int32 = 0
            XCTAssertNil(tinysparseSessionOpen(wrong, nil, &status, nil, 0))
            XCTAssertEqual(status, badOption)
            XCTAssertEqual(tinysparseVocabularySize(wrong), 0)
            XCTAssertEqual(tinysparseContextLength(wrong), 0)
            XCTAssertEqual(tinysparseTokenize(wrong, "a", 1, 0, nil, 0), 0)
            XCTAssertEqual(tinysparseDetokenize(wrong, [5], 1, nil, 0), 0)
            XCTAssertEqual(tinysparseIsEnd(wrong, 2), 0)
            tinysparseModelClose(wrong)
        }
        for wrong in [nil, model, OpaquePointer(bitPattern: UInt(bitPattern: model) + 1)] as [OpaquePointer?] {
            var message = [CChar](repeating: 1, count: 80)
            XCTAssertEqual(tinysparseRead(wrong, [1], 1, &message, 80), badOption)
            XCTAssert(
                ["the session is NULL", "the handle is not that of a session"].contains(
                    String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)))
            XCTAssertEqual(tinysparseGenerate(wrong, "a", 1, nil, nil, nil, nil, nil, 0), badOption)
            XCTAssertNil(tinysparseLogits(wrong))
            XCTAssertEqual(tinysparsePosition(wrong), 0)
            tinysparseRewind(wrong, 0)
            tinysparseSessionClose(wrong)
        }
        // What is good is as it was.
        XCTAssertEqual(tinysparseRead(session, [1, 2], 2, nil, 0), 0)
        XCTAssertEqual(tinysparsePosition(session), 2)
        XCTAssertGreaterThan(tinysparseVocabularySize(model), 0)
        tinysparseModelClose(model)
        tinysparseSessionClose(session)
    }

    func testSizesThatCannotBe() throws {
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        let session = try XCTUnwrap(tinysparseSessionOpen(model, nil, nil, nil, 0))
        let badOption: Int32 = 2
        for (tokens, count) in [(nil, 3), ([1], -1), ([1], Int.max)] as [([Int32]?, Int)] {
            XCTAssertEqual(tinysparseRead(session, tokens, count, nil, 0), badOption)
            XCTAssertEqual(tinysparseDetokenize(model, tokens, count, nil, 0), 0)
        }
        XCTAssertEqual(tinysparseGenerate(session, nil, 3, nil, nil, nil, nil, nil, 0), badOption)
        XCTAssertEqual(tinysparseGenerate(session, "a", -1, nil, nil, nil, nil, nil, 0), badOption)
        XCTAssertEqual(tinysparseTokenize(model, nil, 3, 0, nil, 0), 0)
        XCTAssertEqual(tinysparseTokenize(model, "a", -1, 0, nil, 0), 0)
        tinysparseRewind(session, -1)
        XCTAssertEqual(tinysparsePosition(session), 0)
        for (bytes, count) in [(nil, 0), (nil, 5), ("x", -1)] as [(String?, Int)] {
            var status: Int32 = 0
            XCTAssertNil(tinysparseModelFromMemory(bytes, count, &status, nil, 0))
            XCTAssertNotEqual(status, 0)
        }
        tinysparseSessionClose(session)
        tinysparseModelClose(model)
    }

    func testModelsInMemory() throws {
        let file = try Data(contentsOf: URL(fileURLWithPath: Tool.fixture("tiny-llama.gguf")))
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: file.count + 1, alignment: 64)
        defer { memory.deallocate() }
        for offset in [0, 1] {
            let bytes = UnsafeMutableRawBufferPointer(rebasing: memory[offset..<offset + file.count])
            file.copyBytes(to: bytes)
            let session = try Session(Model(bytes: UnsafeRawBufferPointer(bytes)), .init(threads: 1))
            // Off a boundary it is a copy that is read.
            if offset == 1 { bytes.initializeMemory(as: UInt8.self, repeating: 0) }
            try session.evaluate([1, 2, 3])
            let other = try Session(Model(path: Tool.fixture("tiny-llama.gguf")), .init(threads: 1))
            try other.evaluate([1, 2, 3])
            XCTAssertEqual(Array(session.logits), Array(other.logits))
        }
        XCTAssertThrowsError(try Model(bytes: UnsafeRawBufferPointer(start: nil, count: 0)))
    }
}
