// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
import NIOCore
import NIOPosix
import TinySparse

/// How a server treats its clients.
public struct ServerSettings: Sendable {
    /// What clients have to know; nil lets everybody in.
    public var apiKey: String?
    /// Most bytes of a request's body.
    public var maxBody = 1 << 20
    /// How long a client may take for a part of its answer before it is disconnected.
    public var clientTimeout = TimeAmount.seconds(30)
    /// A web site whose pages may use the server, or `*`.
    public var allowedOrigin: String?

    /// The defaults above.
    public init() {}
}

/// What there is under which path.
public struct Routes: Sendable {
    let model: ServedModel
    let settings: ServerSettings
    private let started = Int(Date().timeIntervalSince1970)

    public init(_ model: ServedModel, _ settings: ServerSettings = ServerSettings()) {
        self.model = model
        self.settings = settings
    }

    /// The router of all paths.
    public func router() -> Router<ServerContext> {
        let router = Router(context: ServerContext.self, options: .autoGenerateHeadEndpoints)
        if let origin = settings.allowedOrigin {
            router.add(
                middleware: CORSMiddleware(
                    allowOrigin: origin == "*" ? .all : .oneOf(origin), allowHeaders: [.contentType, .authorization],
                    allowMethods: [.get, .post]))
        }
        router.add(middleware: ErrorMiddleware())
        add(.get, "/", to: router, page)
        add(.get, "/health", to: router, health)
        router.add(middleware: KeyMiddleware(key: settings.apiKey))
        add(.get, "/metrics", to: router, metrics)
        add(.get, "/v1/models", to: router) { _, _ in
            try json(ModelList(data: [description]))
        }
        add(.get, "/v1/models/:id", to: router) { _, context in
            let id = context.parameters.get("id") ?? ""
            guard id == model.name else { throw APIError.unknownModel(id, model.name) }
            return try json(description)
        }
        add(.post, "/v1/chat/completions", to: router) { request, context in
            let chat = try await read(request) { body throws(APIError) in try ChatRequest(body, model) }
            let response = AnswerResponse<ChatFormat>(
                [chat.prompt], chat.generation, self, thinkingAfter: chat.promptText)
            return try await response.response(context)
        }
        add(.post, "/v1/completions", to: router) { request, context in
            let completion = try await read(request) { body throws(APIError) in try CompletionRequest(body, model) }
            let response = AnswerResponse<CompletionFormat>(completion.prompts, completion.generation, self)
            return try await response.response(context)
        }
        return router
    }

    /// Adds what a path does for one method; others are told which it is.
    private func add(
        _ method: HTTPRequest.Method, _ path: RouterPath, to router: Router<ServerContext>,
        _ handler: @escaping @Sendable (Request, ServerContext) async throws -> Response
    ) {
        router.on(path, method: method, use: handler)
        // HEAD follows GET, and OPTIONS is for browsers that ask whether they may.
        let others: [HTTPRequest.Method] = [.get, .post, .put, .patch, .delete]
        for other in others where other != method {
            router.on(path, method: other) { _, _ -> Response in
                throw APIError(
                    status: .methodNotAllowed, code: "method_not_allowed", message: "use \(method.rawValue) here",
                    headers: [.allow: method.rawValue])
            }
        }
    }

    // MARK: Requests

    /// Reads the body and what it asks for.
    private func read<Value: Sendable>(
        _ request: Request, _ parse: @escaping @Sendable ([UInt8]) throws(APIError) -> Value
    ) async throws -> Value {
        // Pages of other web sites cannot send this type unless the server allows them to: a browser asks first.
        let type = request.headers[.contentType] ?? ""
        guard type.split(separator: ";").first?.trimmingCharacters(in: .whitespaces).lowercased() == "application/json"
        else {
            throw APIError(
                status: .unsupportedMediaType, code: "unsupported_media_type",
                message: "send JSON with the header Content-Type: application/json")
        }
        // Before anything is read, and before anything is computed.
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > settings.maxBody {
            throw APIError.bodyTooLarge
        }
        try model.engine.checkRoom(for: 1)
        let body: ByteBuffer
        do { body = try await request.body.collect(upTo: settings.maxBody) } catch is NIOTooManyBytesError {
            throw APIError.bodyTooLarge
        }
        // Templates, tokenizers and constraints may take a while, which the tasks of other requests need not wait for.
        return try await NIOThreadPool.singleton.runIfActive { try parse(Array(body.readableBytesView)) }
    }

    // MARK: What there is to know

    private struct ModelDescription: Encodable {
        let id: String
        let object = "model"
        let created: Int
        let owned_by = "tinysparse"
        /// Most tokens of a prompt and its answer.
        let context_length: Int
        /// Whether it answers conversations.
        let chat: Bool
    }

    private struct ModelList: Encodable {
        let object = "list"
        let data: [ModelDescription]
    }

    private var description: ModelDescription {
        ModelDescription(
            id: model.name, created: started, context_length: model.engine.contextLimit, chat: model.template != nil)
    }

    private func json(_ value: some Encodable) throws -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: try encoded(value)))
    }

    @Sendable private func health(_ request: Request, _ context: ServerContext) throws -> Response {
        let status = model.engine.status
        var response = try json(["status": status.isDraining ? "draining" : "ok"])
        response.status = status.isDraining ? .serviceUnavailable : .ok
        return response
    }

    @Sendable private func metrics(_ request: Request, _ context: ServerContext) -> Response {
        Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: model.engine.status.prometheus)))
    }

    /// The page to chat in a browser. It loads nothing from elsewhere, and may not.
    @Sendable private func page(_ request: Request, _ context: ServerContext) -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/html; charset=utf-8",
                .contentSecurityPolicy:
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
                    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.page_html)))
    }
}

extension Engine.Status {
    /// The counters in Prometheus' text format.
    var prometheus: String {
        let values: [(name: String, kind: String, value: Int)] = [
            ("open_texts", "gauge", open), ("requests_accepted_total", "counter", accepted),
            ("requests_refused_total", "counter", refused), ("requests_abandoned_total", "counter", abandoned),
            ("generated_tokens_total", "counter", tokens), ("prompt_tokens_total", "counter", promptTokens),
            ("cached_prompt_tokens_total", "counter", cachedTokens),
        ]
        return values.map { "# TYPE tinysparse_\($0.name) \($0.kind)\ntinysparse_\($0.name) \($0.value)\n" }.joined()
    }
}
