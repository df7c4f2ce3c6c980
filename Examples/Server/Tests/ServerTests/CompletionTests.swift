// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

@testable import ServerCore

private let path = "/v1/completions"

/// `/v1/completions`, and what both endpoints have in common.
final class CompletionTests: XCTestCase {
    func testAnAnswerHasTheTextOfASession() async throws {
        try await TestServer.run { server in
            let reply = try await server.post(
                path, #"{"model": "tale", "prompt": "Once upon a time", "max_tokens": 20, "seed": 7}"#)
            XCTAssertEqual(reply.status, 200, reply.body)
            let session = try Session(server.engine.model, Session.Options(threads: 1))
            var options = GenerationOptions()
            options.maxTokens = 20
            options.sampling.seed = 7
            var text = ""
            try session.generate("Once upon a time", options) {
                text += $0; return true
            }
            let choice = reply.json.choice()
            XCTAssertEqual(choice["text"]?.string, text)
            XCTAssertEqual(choice["finish_reason"]?.string, "length")
            XCTAssertEqual(choice["logprobs"]?.isNull, true)
            XCTAssertEqual(reply.json["object"]?.string, "text_completion")
            XCTAssertEqual(reply.json["model"]?.string, "tale")
            XCTAssertEqual(reply.json.number("usage", "completion_tokens"), 20)
            XCTAssertEqual(reply.json.number("usage", "total_tokens"), 20 + Int64(session.tokens.count) - 19)
            XCTAssert(reply.json["id"]?.string?.hasPrefix("cmpl-") ?? false)

            // In pieces it is the same, and so it is by token ids.
            let ids = server.engine.model.tokenizer.encode("Once upon a time")
            let streamed = try await server.post(
                path, #"{"prompt": \#(ids), "max_tokens": 20, "seed": 7, "stream": true}"#)
            XCTAssert(streamed.body.hasSuffix("\n\ndata: [DONE]\n\n"))
            XCTAssert(streamed.headers[.contentType]?.hasPrefix("text/event-stream") ?? false)
            XCTAssertEqual(streamed.events.compactMap { $0.choice()["text"]?.string }.joined(), text)
            XCTAssert(streamed.events.allSatisfy { $0["usage"] == nil })
            XCTAssertEqual(streamed.events.last?.choice()["finish_reason"]?.string, "length")
        }
    }

    func testSeveralTexts() async throws {
        try await TestServer.run { server in
            let many = try await server.post(
                path, #"{"prompt": ["Once", "The king"], "n": 2, "max_tokens": 6, "seed": 3}"#)
            XCTAssertEqual(many.json["choices"]?.array?.count, 4, many.body)
            XCTAssertEqual(many.json.number("usage", "completion_tokens"), 24)
            // Each is the one that has its seed.
            for (index, prompt) in ["Once", "Once", "The king", "The king"].enumerated() {
                let one = try await server.post(
                    path, #"{"prompt": "\#(prompt)", "max_tokens": 6, "seed": \#(3 + index % 2)}"#)
                XCTAssertEqual(one.json.choice()["text"]?.string, many.json.choice(index)["text"]?.string)
            }
        }
    }

    func testStopStringsAndConstraints() async throws {
        try await TestServer.run { server in
            let schema =
                #"{"type": "object", "properties": {"b": {"type": "integer"}, "a": {"const": "x"}}, "required": ["b", "a"]}"#
            let format = #"{"type": "json_schema", "json_schema": {"name": "n", "schema": \#(schema)}}"#
            let typed = try await server.post(
                path, #"{"prompt": "A: ", "max_tokens": 90, "seed": 1, "response_format": \#(format)}"#)
            // The order of members is the schema's.
            let value = try JSON.parse(Array((typed.json.choice()["text"]?.string ?? "").utf8))
            XCTAssertEqual(value.object?.map { $0.key }, ["b", "a"], typed.body)
            XCTAssertEqual(typed.json.choice()["finish_reason"]?.string, "stop")

            let regex = try await server.post(path, #"{"prompt": "A: ", "regex": "abc(def)?"}"#)
            XCTAssert(["abc", "abcdef"].contains(regex.json.choice()["text"]?.string), regex.body)
            let stopped = try await server.post(
                path, #"{"prompt": "A: ", "regex": "abcdef", "stop": ["x", "de"]}"#)
            XCTAssertEqual(stopped.json.choice()["text"]?.string, "abc")
            XCTAssertEqual(stopped.json.choice()["finish_reason"]?.string, "stop")
        }
    }

    func testProbabilities() async throws {
        try await TestServer.run { server in
            let reply = try await server.post(
                path, #"{"prompt": "Once", "max_tokens": 8, "temperature": 0, "logprobs": 2}"#)
            let choice = reply.json.choice(), logprobs = choice["logprobs"] ?? .null
            let tokens = logprobs["tokens"]?.array?.compactMap { $0.string } ?? []
            XCTAssertEqual(tokens.joined(), choice["text"]?.string, reply.body)
            let own = logprobs["token_logprobs"]?.array?.compactMap { $0.double } ?? []
            for (index, best) in (logprobs["top_logprobs"]?.array ?? []).enumerated() {
                XCTAssertEqual(best.object?.count, 2)
                // Without temperature the most likely token is chosen.
                XCTAssertEqual(best[tokens[index]]?.double, own[index])
                XCTAssertEqual(best.object?.compactMap { $0.value.double }.max(), own[index])
            }
            var offset = 0
            for (token, found) in zip(tokens, logprobs["text_offset"]?.array ?? []) {
                XCTAssertEqual(found.integer, Int64(offset))
                offset += token.unicodeScalars.count
            }
        }
    }
}
