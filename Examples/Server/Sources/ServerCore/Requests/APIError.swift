// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import TinySparse

/// An error as OpenAI's clients expect it: a status and an object that says what is wrong.
public struct APIError: Error, Equatable {
    /// `error.type`: whose fault it is, for programs.
    public enum Kind: String, Sendable, Encodable {
        case invalidRequest = "invalid_request_error"
        case authentication = "authentication_error"
        case rateLimit = "rate_limit_error"
        case server = "server_error"
    }

    public var status: HTTPResponse.Status
    public var kind: Kind = .invalidRequest
    /// `error.code`: what it is, for programs.
    public var code: String?
    /// `error.param`: the member of the request.
    public var parameter: String?
    /// What is wrong and what to do.
    public var message: String
    /// Further headers.
    public var headers: HTTPFields = [:]

    /// A request that has to be changed.
    static func invalid(_ message: String, parameter: String? = nil, code: String? = nil) -> APIError {
        APIError(status: .badRequest, code: code, parameter: parameter, message: message)
    }

    /// Something that went wrong in here.
    static func failure(_ message: String) -> APIError {
        APIError(status: .internalServerError, kind: .server, code: "internal_error", message: message)
    }
}

extension APIError: Encodable {
    private enum OuterKey: String, CodingKey { case error }
    private enum Key: String, CodingKey { case message, type, param, code }

    /// `{"error": {"message": ..., "type": ..., "param": ..., "code": ...}}`
    public func encode(to encoder: any Encoder) throws {
        var outer = encoder.container(keyedBy: OuterKey.self)
        var container = outer.nestedContainer(keyedBy: Key.self, forKey: .error)
        try container.encode(message, forKey: .message)
        try container.encode(kind, forKey: .type)
        try container.encode(parameter, forKey: .param)
        try container.encode(code, forKey: .code)
    }
}

extension APIError {
    /// What a request ends by that the engine refuses or gives up.
    init(_ error: EngineError) {
        switch error {
        case .full:
            self.init(
                status: .tooManyRequests, kind: .rateLimit, code: "queue_full",
                message: "the server has as many requests as it takes; try again later", headers: [.retryAfter: "1"])
        case .tooManyTexts(let most):
            self = .invalid("this asks for more than \(most) texts, the most that the server takes", parameter: "n")
        case .draining:
            self.init(
                status: .serviceUnavailable, kind: .server, code: "shutting_down",
                message: "the server is being stopped; ask another one, or this one later", headers: [.retryAfter: "5"])
        case .unread:
            self.init(
                status: .init(code: 499, reasonPhrase: "Client Too Slow"), code: "too_slow",
                message: "the client reads more slowly than the text is written, and too much of it was waiting")
        }
    }

    /// What a request ends by that cannot be generated.
    init(_ error: RuntimeError) {
        switch error {
        case .contextFull(let limit):
            self = .invalid(
                "the prompt is longer than the context of \(limit) tokens; shorten it",
                code: "context_length_exceeded")
        case .tokenOutOfRange, .badOption, .constraint, .emptyInput: self = .invalid(error.description)
        case .nonFiniteLogits, .outOfMemory: self = .failure(error.description)
        }
    }

    /// What a request ends by, whatever it was.
    /// - Returns: nil for an error that nobody is there to be told of.
    init?(ending error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as EngineError: self.init(error)
        case let error as RuntimeError: self.init(error)
        case let error as TemplateError: self.init(error)
        case is CancellationError: return nil
        default: self = .failure("something went wrong in the server")
        }
    }

    /// A conversation that the chat template does not write.
    init(_ error: TemplateError) {
        let isInput = [.input, .raised, .limit].contains(error.kind)
        self = .invalid(
            "the chat template\(isInput ? " refuses the messages" : " cannot be run"): \(error.description)",
            parameter: "messages")
    }
}

extension HTTPField.Name {
    static let retryAfter = Self("Retry-After")!
}
