// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import TinySparse
import TinySparseC
import XCTest

/// Texts that models generate under constraints.
final class ConstrainedGenerationTests: XCTestCase {
    private struct Document: Decodable {
        let schema: Int
        let seed: UInt64
        let text: String
        let complete: Bool
    }

    private let folder = Tool.root + "/Tests/EndToEndTests/Fixtures/constraints/"

    private func model(_ name: String = "tiny-llama") throws -> Model { try Model(path: Tool.fixture("\(name).gguf")) }

    private func answer(
        _ session: Session, _ options: GenerationOptions, prompt: String = "Once"
    ) throws -> (text: String, tokens: [Int32], reason: StopReason?) {
        session.rewind(to: 0)
        var generation = try session.generation(prompt: session.model.tokenizer.encode(prompt), options)
        var text = ""
        while let piece = try generation.next() { text += piece }
        return (text, generation.generated, generation.reason)
    }

    /// The options with which everything allowed is about equally likely.
    private func varied(_ constraint: Constraint?, seed: UInt64 = 1, tokens: Int = 160) -> GenerationOptions {
        var options = GenerationOptions()
        options.maxTokens = tokens
        options.sampling.temperature = 100
        (options.sampling.topK, options.sampling.topP, options.sampling.minP) = (0, 1, 0)
        options.sampling.seed = seed
        options.constraint = constraint
        return options
    }

    /// Documents of twenty schemas, which jsonschema has found valid (check_schemas.py), on every kernel set, alone and in
    /// company.
    func testDocumentsOfSchemas() throws {
        let schemas = try XCTUnwrap(
            JSON.parse(Array(Data(contentsOf: URL(fileURLWithPath: folder + "schemas.json")))).array)
        let constraints = try schemas.map { try Constraint.jsonSchema(XCTUnwrap($0["schema"])) }
        let documents = try JSONDecoder().decode(
            [Document].self, from: Data(contentsOf: URL(fileURLWithPath: folder + "outputs.json")))
        XCTAssertEqual(documents.count, 500)
        XCTAssertGreaterThan(documents.count { $0.complete }, 450)
        let model = try model()
        let some = documents.enumerated().filter { TestTier.isFull || $0.offset % 10 == 3 }.map { $0.element }
        for (i, kernels) in kernelSets.enumerated() {
            let session = try Session(model, .init(threads: 1, kernels: kernels))
            for document in TestTier.isFull
                ? some : some.enumerated().filter({ $0.offset % kernelSets.count == i }).map({ $0.element })
            {
                let found = try answer(session, varied(constraints[document.schema], seed: document.seed))
                XCTAssertEqual(found.text, document.text)
                XCTAssertEqual(found.reason == .endOfText, document.complete)
            }
        }
        let batch = try Batch(model, places: 8, .init(threads: 2))
        var texts: [Batch.ID: String] = [:], ids: [Batch.ID] = []
        let prompt = model.tokenizer.encode("Once")
        for document in some {
            ids.append(try batch.add(prompt, varied(constraints[document.schema], seed: document.seed)))
        }
        while !batch.isIdle { for output in batch.step() { texts[output.id, default: ""] += output.text } }
        for (id, document) in zip(ids, some) { XCTAssertEqual(texts[id], document.text) }
    }

    /// What is chosen is what the sampler would choose with the logits of all other tokens at minus infinity.
    func testTheSamplerChoosesAmongAllowedTokens() throws {
        let constraint = try Constraint.jsonSchema(
            #"{"properties": {"ab": {"type": "string", "maxLength": 9}, "n": {"type": "integer"}}, "required": ["ab", "n"]}"#
        )
        for name in ["tiny-llama", "tiny-gemma", "tiny-llama-screen"] {
            let model = try model(name), tokenizer = model.tokenizer
            for (topK, temperature, penalty) in [
                (40, 1.5, 1), (1, 1, 1.3), (0, 3, 1), (5, 0, 1), (3, 2, 1.2), (2000, 2, 1),
            ]
                as [(Int, Float, Float)]
            {
                var options = varied(constraint, seed: 9, tokens: 40)
                (options.sampling.topK, options.sampling.temperature, options.sampling.repeatPenalty) = (
                    topK, temperature, penalty
                )
                let found = try answer(try Session(model, .init(threads: 1, screensHead: true)), options)

                let session = try Session(model, .init(threads: 1))
                let matcher = try ConstraintMatcher(constraint, model.tokenBytes, allowsEnd: true)
                var sampler = try Sampler(options.sampling)
                var tokens: [Int32] = []
                try session.prefill(tokenizer.encode("Once"))
                while tokens.count < options.maxTokens, !matcher.isAtEnd {
                    var logits = Array(session.logits)
                    let allowed = Set(try matcher.allowed())
                    // Finite, and so far below all others that none of these is a candidate.
                    if topK != 0 {
                        for id in logits.indices where !allowed.contains(Int32(id)) {
                            logits[id] = -.greatestFiniteMagnitude
                        }
                    }
                    let token = try logits.withUnsafeBufferPointer {
                        topK == 0
                            ? try sampler.next($0, history: session.tokens, among: allowed.sorted())
                            : try sampler.next($0, history: session.tokens)
                    }
                    XCTAssertTrue(allowed.contains(token))
                    if tokenizer.isEndOfGeneration(token) { break }
                    tokens.append(token)
                    try matcher.advance(token)
                    try session.decode(token)
                }
                XCTAssertEqual(found.tokens, tokens, "\(name), top-k \(topK)")
            }
        }
    }

    func testDraftsChangeNoConstrainedText() throws {
        let model = try model()
        let constraint = try Constraint.jsonSchema(
            #"{"type": "array", "items": {"properties": {"name": {"maxLength": 4}, "ok": {"type": "boolean"}}, "required": ["name"]}, "minItems": 5, "maxItems": 7}"#
        )
        for temperature in [0, 1.5] as [Float] {
            var options = varied(constraint, seed: 4, tokens: 120)
            options.sampling.temperature = temperature
            let plain = try answer(try Session(model, .init(threads: 1)), options)
            for speculation in [Speculation.promptLookup, .draftModel(model)] {
                for length in [nil, 1, 7] {
                    let session = try Session(model, .init(threads: 1, speculation: speculation))
                    if let length { session.fixDraftLength(length) }
                    let found = try answer(session, options)
                    XCTAssertEqual(found.text, plain.text)
                    XCTAssertEqual(found.tokens, plain.tokens)
                    XCTAssertEqual(found.reason, plain.reason)
                }
            }
        }
    }

    // MARK: - Ends

    func testHowTextsEnd() throws {
        let session = try Session(try model(), .init(threads: 1))
        func end(_ source: String, _ change: (inout GenerationOptions) -> Void = { _ in }) throws -> (
            String, StopReason?
        ) {
            var options = varied(try .regularExpression(source), tokens: 300)
            change(&options)
            let found = try answer(session, options)
            return (found.text, found.reason)
        }
        // Nothing can follow: no token says so, and the model need not be asked.
        XCTAssertTrue(try end("") == ("", .endOfText))
        XCTAssertTrue(try end("yes") == ("yes", .endOfText))
        XCTAssertTrue(try end("(?:é|\u{1F600}){3}!").0.hasSuffix("!"))
        XCTAssertTrue(try end("yes", { $0.maxTokens = 0 }) == ("", .maxTokens))
        XCTAssertTrue(try end("[a-d]{400}", { $0.maxTokens = 5 }).1 == .maxTokens)
        XCTAssertTrue(try end("ab.*", { $0.stop = ["b"] }) == ("a", .stopString("b")))
        // The end can come, and does not if it is ignored.
        let open = try end("a[ab]*")
        XCTAssertEqual(open.1, .endOfText)
        let endless = try end("a[ab]*") { ($0.ignoresEndOfText, $0.maxTokens) = (true, 90) }
        XCTAssertEqual(endless.1, .maxTokens)
        XCTAssertTrue(try end("abc", { $0.ignoresEndOfText = true }) == ("abc", .endOfText))
        // A full context leaves the beginning of a text, or forgets and goes on.
        let small = try Session(session.model, .init(threads: 1, context: 16))
        XCTAssertEqual(try answer(small, varied(try .regularExpression("[a-d]{300}"))).reason, .contextFull)
        var shifting = varied(try .regularExpression("[a-d]{100}"), tokens: 300)
        shifting.shiftsContext = true
        let shifted = try answer(small, shifting)
        XCTAssertEqual(shifted.reason, .endOfText)
        XCTAssertEqual(shifted.text.utf8.count, 100)
    }

    func testWhatCannotGoOnIsAnError() throws {
        let tokens = TokenBytes([Array("a".utf8), [], Array("</s>".utf8)], ends: [2])
        let matcher = try ConstraintMatcher(.regularExpression("ab?"), tokens, allowsEnd: true)
        XCTAssertEqual(try matcher.allowed(), [0])
        try matcher.advance(0)
        XCTAssertEqual(try matcher.allowed(), [2])
        XCTAssertFalse(matcher.isAtEnd)
        XCTAssertEqual(try ConstraintMatcher(.regularExpression("é"), tokens, allowsEnd: true).allowed(), [])
        // Too ambiguous a grammar is an error of the generation, and of its sequence in a batch.
        let ambiguous = try Constraint.regularExpression("(?:(?:a?){0,2000}b?){0,2000}")
        let model = try model()
        let session = try Session(model, .init(threads: 1))
        XCTAssertThrowsError(try answer(session, varied(ambiguous))) {
            guard case RuntimeError.constraint? = $0 as? RuntimeError else { return XCTFail("\($0)") }
        }
        let batch = try Batch(model, places: 2, .init(threads: 1))
        XCTAssertThrowsError(try batch.add([5], varied(ambiguous)))
    }

    // MARK: - Requests

    func testRequests() throws {
        let schema = #"{"enum": ["x", "y"]}"#
        let good: [(String, Set<String>)] = [
            (#"{"regex": "a|b"}"#, ["a", "b"]), (#"{"grammar": "root ::= \"a\" | \"b\""}"#, ["a", "b"]),
            ("{\"json_schema\": \(schema)}", ["\"x\"", "\"y\""]), (#"{"json_schema": "{\"const\": 1}"}"#, ["1"]),
            (
                "{\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"n\", \"strict\": true, \"schema\": \(schema)}}}",
                ["\"x\"", "\"y\""]
            ),
        ]
        let session = try Session(try model(), .init(threads: 1))
        for (text, answers) in good {
            let options = try GenerationOptions(request: Request(Array(text.utf8)), defaults: varied(nil))
            XCTAssertTrue(answers.contains(try answer(session, options).text), text)
        }
        let defaults = varied(try .regularExpression("q"))
        func constraint(_ text: String) throws -> Constraint? {
            try GenerationOptions(request: Request(Array(text.utf8)), defaults: defaults).constraint
        }
        XCTAssertNotNil(try constraint("{}"))
        XCTAssertNotNil(try constraint(#"{"response_format": {"type": "json_object"}}"#))
        XCTAssertNil(try constraint(#"{"response_format": {"type": "text"}}"#))
        for (text, message) in [
            (#"{"regex": "a", "grammar": "b"}"#, "regex and grammar cannot be combined"),
            (#"{"regex": "("}"#, "regex: line 1, column 1"),
            (#"{"regex": 1}"#, "regex: a string"), (#"{"json_schema": {"not": {}}}"#, "json_schema: #/not"),
            (#"{"json_schema": "{"}"#, "json_schema: line 1, column 2"),
            (#"{"grammar": "x"}"#, "grammar: line 1, column 2"),
            (#"{"response_format": {"type": "xml"}}"#, "response_format: "),
            (#"{"response_format": {"type": "json_schema"}}"#, "response_format: "),
        ] {
            XCTAssertThrowsError(try constraint(text), text) { XCTAssertTrue("\($0)".hasPrefix(message), "\($0)") }
        }
    }

    func testTheInterfaceForC() throws {
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        defer { tinysparseModelClose(model) }
        let session = try XCTUnwrap(tinysparseSessionOpen(model, "{\"threads\": 1}", nil, nil, 0))
        defer { tinysparseSessionClose(session) }
        var message = [CChar](repeating: 0, count: 200)
        func generate(_ options: String, _ text: inout [UInt8]) -> Int32 {
            withUnsafeMutablePointer(to: &text) { text in
                tinysparseGenerate(
                    session, "Once", 4, options,
                    { bytes, count, context in
                        let text = context!.assumingMemoryBound(to: [UInt8].self)
                        text.pointee += UnsafeBufferPointer(start: bytes, count: count).map { UInt8(bitPattern: $0) }
                        return 1
                    }, text, nil, &message, message.count)
            }
        }
        var text: [UInt8] = []
        XCTAssertEqual(generate(#"{"json_schema": {"const": [1, "a"]}}"#, &text), 0)
        XCTAssertEqual(String(decoding: text, as: UTF8.self), #"[1,"a"]"#)
        XCTAssertEqual(generate(#"{"regex": "a{2"}"#, &text), 2)
        XCTAssertEqual(generate(#"{"regex": "(?:(?:a?){0,2000}b?){0,2000}"}"#, &text), 2)
    }
}
