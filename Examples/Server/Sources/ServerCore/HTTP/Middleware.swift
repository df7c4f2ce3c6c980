// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import NIOHTTP1

/// Answers every error as OpenAI's clients expect it.
struct ErrorMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPParserError {
            throw error  // The connection is unusable, and answered below.
        } catch let error as HTTPError where error.status == .contentTooLarge {
            return try response(.bodyTooLarge)
        } catch let error as HTTPError {
            return try response(
                APIError(
                    status: error.status, code: error.status == .notFound ? "not_found" : nil,
                    message: error.status == .notFound
                        ? "there is nothing at \(request.method.rawValue) \(request.uri.path.prefix(200))"
                        : error.body ?? error.status.reasonPhrase))
        } catch {
            guard let known = APIError(ending: error) else {
                // Nobody reads this.
                return Response(status: .init(code: 499, reasonPhrase: "Client Closed Request"))
            }
            if known.status == .internalServerError { context.logger.error("\(error)") }
            return try response(known)
        }
    }

    private func response(_ error: APIError) throws -> Response {
        var headers = error.headers
        headers[.contentType] = "application/json"
        return Response(status: error.status, headers: headers, body: ResponseBody(byteBuffer: try encoded(error)))
    }
}

extension APIError {
    /// A body beyond the limit.
    static let bodyTooLarge = APIError(
        status: .contentTooLarge, code: "body_too_large",
        message: "the body is larger than this server takes; shorten it, or start the server with a larger --max-body")
}

/// Lets those in who know the key.
struct KeyMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    /// nil lets everybody in.
    let key: String?

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        if let key {
            let words = (request.headers[.authorization] ?? "").split(separator: " ", maxSplits: 1)
            let given = words.count == 2 && words[0].lowercased() == "bearer" ? String(words[1]) : ""
            guard Self.areEqual(given, key) else {
                throw APIError(
                    status: .unauthorized, kind: .authentication, code: "invalid_api_key",
                    message: "the API key is missing or wrong: send the header Authorization: Bearer KEY",
                    headers: [.wwwAuthenticate: "Bearer"])
            }
        }
        return try await next(request, context)
    }

    /// Takes the same time wherever the keys differ; only their lengths can be told apart.
    static func areEqual(_ given: String, _ key: String) -> Bool {
        let (given, key) = (Array(given.utf8), Array(key.utf8))
        guard given.count == key.count else { return false }
        return zip(given, key).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
