// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import TinySparse
import XCTest

@testable import ServerCore

private let path = "/v1/completions"

/// Requests that cannot be answered, and those who may not ask.
final class RequestTests: XCTestCase {
    /// Every member that is wrong is named, and so is every one that would change the answer and is not there.
    func testWhatIsWrongIsNamed() async throws {
        let members = [
            ("prompt", "5"), ("prompt", "[]"), ("prompt", #"["a", 5]"#), ("max_tokens", "0"), ("max_tokens", "-1"),
            ("max_tokens", "513"), ("max_tokens", #""5""#), ("max_completion_tokens", "1.5"), ("temperature", "-0.1"),
            ("temperature", "true"), ("top_p", "1.1"), ("top_k", "-1"), ("min_p", "2"), ("repeat_penalty", "0"),
            ("seed", "9223372036854775808"), ("seed", "0.5"), ("n", "0"), ("n", "17"), ("stream", "1"), ("stop", "5"),
            ("stop", #"["a", "b", "c", "d", "e"]"#), ("stop", #"["a", ""]"#), ("logprobs", "21"), ("logprobs", "true"),
            ("response_format", #"{"type": "yaml"}"#), ("response_format", #"{"type": "json_schema"}"#),
            ("json_schema", #"{"type": "what"}"#), ("regex", "5"), ("regex", #""(""#), ("grammar", #""root""#),
            ("best_of", "2"), ("tools", "[{}]"), ("logit_bias", #"{"1": 2}"#), ("frequency_penalty", "0.1"),
            ("presence_penalty", "-1"), ("suffix", #""b""#), ("echo", "true"), ("audio", "{}"),
            ("modalities", #"["audio"]"#),
            ("reasoning_effort", #""low""#), ("stream_options", "5"),
        ]
        try await TestServer.run { server in
            for (name, value) in members {
                let prompt = name == "prompt" ? "" : #""prompt": "Once", "#
                let reply = try await server.post(path, "{\(prompt)\"\(name)\": \(value)}")
                XCTAssertEqual(reply.status, 400, "\(name): \(value)")
                XCTAssertEqual(reply.error["param"]?.string, name, reply.body)
                XCTAssertEqual(reply.error["type"]?.string, "invalid_request_error")
            }
            let harmless = """
                {"prompt": "Once", "max_tokens": 1, "tools": [], "logit_bias": {}, "frequency_penalty": 0, "suffix": "", "user": "u",
                 "tool_choice": "auto", "echo": false, "modalities": ["text"], "best_of": 1, "stop": null, "unheard_of": 5}
                """
            let reply = try await server.post(path, harmless)
            XCTAssertEqual(reply.status, 200, reply.body)
        }
    }

    func testWhatIsNoRequest() async throws {
        var settings = ServerSettings()
        settings.maxBody = 1000
        try await TestServer.run(settings: settings) { server in
            for body in ["", "{", "\u{FEFF}{}", "[", String(repeating: "[", count: 900), #"{"prompt": "\ud800"}"#] {
                let reply = try await server.post(path, body)
                XCTAssertEqual(reply.status, 400)
                XCTAssertEqual(reply.error["code"]?.string, "invalid_json", body)
            }
            let large = try await server.post(path, #"{"prompt": "\#(String(repeating: "a", count: 2000))"}"#)
            XCTAssertEqual(large.status, 413)
            XCTAssertEqual(large.error["code"]?.string, "body_too_large")
            let untyped = try await server.post(path, "{}", headers: [.contentType: "text/plain"])
            XCTAssertEqual(untyped.status, 415)
            let other = try await server.post(path, #"{"model": "gpt", "prompt": "a"}"#)
            XCTAssertEqual(other.status, 404)
            XCTAssertEqual(other.error["code"]?.string, "model_not_found")
            let ids = try await server.post(path, #"{"prompt": [1, 2000000000]}"#)
            XCTAssertEqual(ids.status, 400, ids.body)
            let long = try await server.post(
                path, #"{"prompt": \#([Int](repeating: 5, count: 480)), "max_tokens": 1}"#)
            XCTAssertEqual(long.status, 413)
        }
        try await TestServer.run { server in
            let long = try await server.post(
                path, #"{"prompt": \#([Int](repeating: 5, count: 600)), "stream": true}"#)
            XCTAssertEqual(long.status, 400)
            XCTAssertEqual(long.error["code"]?.string, "context_length_exceeded")
        }
    }

    func testPaths() async throws {
        try await TestServer.run { server in
            let page = try await server.get("/")
            XCTAssert(page.body.contains("<title>TinySparse</title>"))
            XCTAssert(page.headers[.contentSecurityPolicy]?.contains("default-src 'none'") ?? false)
            let health = try await server.get("/health")
            XCTAssertEqual(health.body, #"{"status":"ok"}"#)
            let head = try await server.get("/health", method: .head)
            XCTAssertEqual(head.status, 200)
            let model = try await server.get("/v1/models/tale")
            XCTAssertEqual(model.json["id"]?.string, "tale")
            XCTAssertEqual(model.json["context_length"]?.integer, 512)
            let metrics = try await server.get("/metrics")
            XCTAssert(metrics.body.contains("\ntinysparse_open_texts 0\n"), metrics.body)
            for (path, method, status) in [
                ("/nothing", HTTPRequest.Method.get, 404), ("/v1/models/other", .get, 404),
                ("/v1/completions", .get, 405),
                ("/v1/models", .delete, 405), ("/", .put, 405),
            ] {
                let reply = try await server.get(path, method: method)
                XCTAssertEqual(reply.status, status, path)
                XCTAssertNotNil(reply.error["message"]?.string, path)
            }
        }
    }

    func testKeys() async throws {
        var settings = ServerSettings()
        settings.apiKey = "secret"
        try await TestServer.run(settings: settings) { server in
            for (path, status) in [("/", 200), ("/health", 200), ("/v1/models", 401), ("/metrics", 401)] {
                let reply = try await server.get(path)
                XCTAssertEqual(reply.status, status, path)
            }
            for (given, status) in [
                ("Bearer secret", 200), ("bearer secret", 200), ("Bearer Secret", 401), ("secret", 401),
            ] {
                let reply = try await server.get("/v1/models", headers: [.authorization: given])
                XCTAssertEqual(reply.status, status, given)
            }
        }
        for (given, isRight) in [
            ("secret", true), ("secreT", false), ("secre", false), ("secrets", false), ("", false),
        ] {
            XCTAssertEqual(KeyMiddleware.areEqual(given, "secret"), isRight)
        }
    }

    func testOtherOrigins() async throws {
        var settings = ServerSettings()
        settings.allowedOrigin = "https://example.org"
        for (settings, answer) in [(settings, "https://example.org"), (ServerSettings(), nil)] {
            try await TestServer.run(settings: settings) { server in
                let reply = try await server.get("/v1/models", headers: [.origin: "https://example.org"])
                XCTAssertEqual(reply.headers[.accessControlAllowOrigin], answer)
            }
        }
    }
}
