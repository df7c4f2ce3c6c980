// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
import HummingbirdTesting
import Logging
import TinySparse
import XCTest

@testable import ServerCore

/// A server of the model that is part of the repository, or of a fixture, and what its clients do.
struct TestServer {
    let client: any TestClientProtocol
    let engine: Engine

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../../..").standardizedFileURL.path

    /// Runs a server as long as `body` runs.
    static func run(
        model: String = "models/tinysparse-fairy.gguf", template: String? = "plain", limits: Engine.Limits = .init(),
        settings: ServerSettings = .init(), maxTokens: Int? = nil, _ body: @Sendable (TestServer) async throws -> Void
    ) async throws {
        let model = try Model(path: root + "/" + model)
        let engine = try Engine(model, limits, Session.Options(threads: 2))
        defer { engine.stop() }
        // The name of a built-in template, or a source.
        let chat = try template.map { try $0.contains("{") ? ChatTemplate(jinja: $0) : .named($0) }
        let served = ServedModel(name: "tale", engine: engine, template: chat, maxTokens: maxTokens)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let app = Routes(served, settings).application(at: .hostname("localhost", port: 0), logger: logger)
        try await app.test(.ahc(.http)) { try await body(TestServer(client: $0, engine: engine)) }
    }

    /// What a server says.
    struct Reply {
        let status: Int
        let headers: HTTPFields
        let body: String

        /// The body as JSON.
        var json: JSON { (try? JSON.parse(Array(body.utf8))) ?? .null }
        /// The events of a stream but the mark at its end.
        var events: [JSON] {
            body.split(separator: "\n").compactMap { line in
                try? line.hasPrefix("data: {") ? JSON.parse(Array(line.dropFirst(6).utf8)) : nil
            }
        }
        var error: JSON { json["error"] ?? .null }
    }

    func get(_ path: String, method: HTTPRequest.Method = .get, headers: HTTPFields = [:]) async throws -> Reply {
        try await send(path, method, headers, nil)
    }

    /// - Parameter body: JSON.
    func post(
        _ path: String, _ body: String, headers: HTTPFields = [.contentType: "application/json"]
    ) async throws -> Reply {
        try await send(path, .post, headers, ByteBuffer(string: body))
    }

    private func send(
        _ path: String, _ method: HTTPRequest.Method, _ headers: HTTPFields, _ body: ByteBuffer?
    ) async throws -> Reply {
        try await client.execute(uri: path, method: method, headers: headers, body: body) { response in
            Reply(status: response.status.code, headers: response.headers, body: String(buffer: response.body))
        }
    }

    /// Waits until no text is open.
    func waitUntilIdle() async throws {
        for _ in 0..<60_000 where engine.status.open > 0 { try await Task.sleep(for: .milliseconds(5)) }
        XCTAssertEqual(engine.status.open, 0)
    }
}

extension JSON {
    /// A choice of an answer.
    func choice(_ index: Int = 0) -> JSON {
        guard let list = self["choices"]?.array, index < list.count else { return .null }
        return list[index]
    }

    /// The whole number at the end of a path.
    func number(_ path: String...) -> Int64? { path.reduce(self) { $0[$1] ?? .null }.integer }
}
