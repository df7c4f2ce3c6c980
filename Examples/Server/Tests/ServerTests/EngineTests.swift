// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

@testable import ServerCore

private let long = #"{"prompt": "Once", "max_tokens": 400, "ignore_eos": true}"#

/// The queue, its limits, and the end.
final class EngineTests: XCTestCase {
    func testAFullQueue() async throws {
        var limits = Engine.Limits()
        (limits.places, limits.queue) = (1, 1)
        try await TestServer.run(limits: limits) { server in
            async let first = server.post("/v1/completions", long)
            async let second = server.post("/v1/completions", long)
            while server.engine.status.accepted < 2 { try await Task.sleep(for: .milliseconds(2)) }
            let third = try await server.post("/v1/completions", long)
            XCTAssertEqual(third.status, 429)
            XCTAssertEqual(third.error["code"]?.string, "queue_full")
            XCTAssertEqual(third.error["type"]?.string, "rate_limit_error")
            XCTAssertNotNil(third.headers[.retryAfter])
            let answered = try await [first.status, second.status]
            XCTAssertEqual(answered, [200, 200])
            let never = try await server.post("/v1/completions", #"{"prompt": "Once", "n": 3}"#)
            XCTAssertEqual(never.status, 400)
            XCTAssertEqual(server.engine.status.refused, 1)
        }
    }

    /// A client that goes away ends its text, and nobody else's.
    func testClientsThatGoAway() async throws {
        try await TestServer.run { server in
            let expected = try await server.post("/v1/completions", #"{"prompt": "Once", "max_tokens": 60, "seed": 2}"#)
            for stream in ["true", "false"] {
                let body = long.dropLast() + ", \"n\": 4, \"stream\": \(stream)}"
                let abandoned = server.engine.status.abandoned
                let task = Task { try await server.post("/v1/completions", String(body)) }
                while server.engine.status.open < 4 { try await Task.sleep(for: .milliseconds(2)) }
                async let other = server.post("/v1/completions", #"{"prompt": "Once", "max_tokens": 60, "seed": 2}"#)
                task.cancel()
                let text = try await other.json.choice()["text"]?.string
                XCTAssertEqual(text, expected.json.choice()["text"]?.string)
                try await server.waitUntilIdle()
                XCTAssertEqual(server.engine.status.abandoned, abandoned + 1)
            }
        }
    }

    /// A reader that leaves too much unread loses its text; others go on.
    func testWhatNobodyReadsEnds() async throws {
        var limits = Engine.Limits()
        limits.unreadEvents = 10
        try await TestServer.run(limits: limits) { server in
            var options = GenerationOptions()
            options.maxTokens = 200
            options.ignoresEndOfText = true
            let answer = try server.engine.submit([Job.Text(prompt: [5], options: options)])
            try await server.waitUntilIdle()
            var events = 0
            do {
                for try await _ in answer.events { events += 1 }
                XCTFail("it has not ended")
            } catch {
                XCTAssertEqual(error as? EngineError, .unread)
            }
            XCTAssertEqual(events, 10)
        }
    }

    func testDraining() async throws {
        try await TestServer.run { server in
            async let running = server.post("/v1/completions", long)
            while server.engine.status.open < 1 { try await Task.sleep(for: .milliseconds(2)) }
            async let drained: Void = server.engine.drain()
            while !server.engine.status.isDraining { try await Task.sleep(for: .milliseconds(2)) }
            let refused = try await server.post("/v1/completions", long)
            XCTAssertEqual(refused.status, 503)
            XCTAssertEqual(refused.error["code"]?.string, "shutting_down")
            let health = try await server.get("/health")
            XCTAssertEqual(health.status, 503)
            let reply = try await running
            XCTAssertEqual(reply.status, 200, reply.body)
            await drained
        }
    }

    /// What is being written when the engine stops ends with an error that says so.
    func testStopping() async throws {
        try await TestServer.run { server in
            async let whole = server.post("/v1/completions", long)
            async let streamed = server.post("/v1/completions", long.dropLast() + ", \"stream\": true}")
            while server.engine.status.accepted < 2 { try await Task.sleep(for: .milliseconds(2)) }
            server.engine.stop()
            let status = try await whole.status
            XCTAssertEqual(status, 503)
            let reply = try await streamed
            XCTAssert(
                reply.status == 503 || reply.events.last?["error"]?["code"]?.string == "shutting_down", reply.body)
            XCTAssertFalse(reply.body.contains("[DONE]"))
        }
    }
}
