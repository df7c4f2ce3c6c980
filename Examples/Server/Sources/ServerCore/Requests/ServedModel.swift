// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// A model as clients see it.
public struct ServedModel: Sendable {
    /// What requests call it.
    public let name: String
    /// What generates.
    public let engine: Engine
    /// How conversations become prompts; nil if the model has no template that can be run.
    public let template: ChatTemplate?
    /// Most tokens of an answer.
    public let maxTokens: Int

    /// - Parameter maxTokens: at most the context; nil for all of it.
    public init(name: String, engine: Engine, template: ChatTemplate?, maxTokens: Int? = nil) {
        self.name = name
        self.engine = engine
        self.template = template
        self.maxTokens = min(maxTokens ?? engine.contextLimit, engine.contextLimit)
    }

    var tokenizer: Tokenizer { engine.model.tokenizer }

    /// - Throws: `APIError` for a request of another model. One that names none means this.
    func check(_ fields: Fields) throws(APIError) {
        guard let asked = try fields.string("model"), asked != name else { return }
        throw .unknownModel(asked, name)
    }
}

extension APIError {
    /// A model that is not there.
    static func unknownModel(_ asked: String, _ name: String) -> APIError {
        APIError(
            status: .notFound, code: "model_not_found", parameter: "model",
            message: "there is no model '\(asked.prefix(80))'; this server has '\(name)'")
    }
}
