// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

@testable import ServerCore

private let path = "/v1/chat/completions"

/// `/v1/chat/completions`.
final class ChatTests: XCTestCase {
    func testAConversationIsWrittenByTheTemplate() async throws {
        let template =
            "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\\n' }}{% endfor %}{{ who | default('bot') }}: "
        try await TestServer.run(template: template) { server in
            let fields = #""max_tokens": 8, "seed": 4"#
            let chat = try await server.post(
                path,
                #"""
                {"messages": [{"role": "developer", "content": "Be brief."},
                  {"role": "user", "content": [{"type": "text", "text": "Who"}, {"type": "text", "text": "are you?"}]}], \#(fields)}
                """#)
            let text = try await server.post(
                "/v1/completions", #"{"prompt": "system: Be brief.\nuser: Who\nare you?\nbot: ", \#(fields)}"#)
            XCTAssertEqual(chat.status, 200, chat.body)
            XCTAssertEqual(chat.json.choice()["message"]?["content"]?.string, text.json.choice()["text"]?.string)
            XCTAssertEqual(chat.json.choice()["message"]?["role"]?.string, "assistant")
            XCTAssertEqual(chat.json["object"]?.string, "chat.completion")
            XCTAssertEqual(chat.json["usage"]?["prompt_tokens"]?.integer, text.json["usage"]?["prompt_tokens"]?.integer)
            // The same prompt was there.
            let cached = text.json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.integer
            XCTAssertEqual(cached, text.json.number("usage", "prompt_tokens")! - 1)

            let other = try await server.post(
                path,
                #"{"messages": [{"role": "user", "content": "Hi"}], "chat_template_kwargs": {"who": "she"}, \#(fields)}"#
            )
            let same = try await server.post("/v1/completions", #"{"prompt": "user: Hi\nshe: ", \#(fields)}"#)
            XCTAssertEqual(other.json.choice()["message"]?["content"]?.string, same.json.choice()["text"]?.string)
        }
    }

    func testAStream() async throws {
        try await TestServer.run { server in
            let reply = try await server.post(
                path,
                #"""
                {"messages": [{"role": "user", "content": "Once"}], "max_tokens": 5, "seed": 1, "stream": true, "logprobs": true,
                 "top_logprobs": 2, "stream_options": {"include_usage": true}, "n": 2}
                """#)
            let events = reply.events
            XCTAssertEqual(events[0].choice()["delta"]?["role"]?.string, "assistant", reply.body)
            XCTAssert(events.allSatisfy { $0["object"]?.string == "chat.completion.chunk" })
            XCTAssertEqual(Set(events.compactMap { $0["id"]?.string }).count, 1)
            XCTAssertEqual(events.last?.number("usage", "completion_tokens"), 10)
            XCTAssertEqual(events.last?["choices"]?.array?.count, 0)
            XCTAssert(events.dropLast().allSatisfy { $0["usage"]?.isNull ?? false })
            for index in 0..<2 {
                let own = events.map { $0.choice() }.filter { $0["index"]?.integer == Int64(index) }
                XCTAssertEqual(own.compactMap { $0["finish_reason"]?.string }, ["length"])
                let tokens = own.flatMap { $0["logprobs"]?["content"]?.array ?? [] }
                XCTAssertEqual(tokens.count, 5)
                let bytes = tokens.flatMap { ($0["bytes"]?.array ?? []).compactMap { $0.integer.map { UInt8($0) } } }
                let text = own.compactMap { $0["delta"]?["content"]?.string }.joined()
                XCTAssertEqual(String(decoding: bytes, as: UTF8.self), text)
                XCTAssert(tokens.allSatisfy { $0["top_logprobs"]?.array?.count == 2 })
            }
        }
    }

    /// What a model thinks is told apart, whole and in pieces.
    func testThinking() async throws {
        let template = "{{ messages[0].content }}<think>"
        try await TestServer.run(template: template) { server in
            let request = #""messages": [{"role": "user", "content": "Q"}], "regex": "hmm</think> yes""#
            let whole = try await server.post(path, "{\(request)}")
            XCTAssertEqual(whole.json.choice()["message"]?["reasoning_content"]?.string, "hmm", whole.body)
            XCTAssertEqual(whole.json.choice()["message"]?["content"]?.string, "yes")
            let deltas = try await server.post(path, "{\(request), \"stream\": true}").events.map {
                $0.choice()["delta"] ?? .null
            }
            XCTAssertEqual(deltas.compactMap { $0["reasoning_content"]?.string }.joined(), "hmm")
            XCTAssertEqual(deltas.compactMap { $0["content"]?.string }.joined(), "yes")
        }
    }

    func testAModelWithoutATemplate() async throws {
        try await TestServer.run(template: nil) { server in
            let reply = try await server.post(path, #"{"messages": [{"role": "user", "content": "Q"}]}"#)
            XCTAssertEqual(reply.status, 400)
            XCTAssertEqual(reply.error["code"]?.string, "no_chat_template")
            let models = try await server.get("/v1/models")
            XCTAssertEqual(models.json["data"]?.array?.first?["chat"]?.bool, false)
        }
        try await TestServer.run(template: "{{ raise_exception('no system message') }}") { server in
            let reply = try await server.post(path, #"{"messages": [{"role": "user", "content": "Q"}]}"#)
            XCTAssertEqual(reply.status, 400)
            XCTAssertEqual(reply.error["param"]?.string, "messages")
            XCTAssert(reply.error["message"]?.string?.contains("no system message") ?? false, reply.body)
        }
    }
}
