// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// A request to `/v1/completions`.
struct CompletionRequest {
    /// How many tokens where the request does not say: as `tinysparse run`.
    static let standardTokens = GenerationOptions().maxTokens

    let generation: GenerationFields
    /// Token ids.
    let prompts: [[Int32]]

    /// Linear in the size of the body, and what its constraint needs.
    /// - Throws: `APIError`.
    init(_ body: [UInt8], _ model: ServedModel) throws(APIError) {
        let fields = try Fields(body: body)
        try model.check(fields)
        var generation = try GenerationFields(fields, maxTokens: model.maxTokens, standard: Self.standardTokens)
        generation.askForProbabilities(try fields.integer("logprobs", in: 0...GenerationFields.mostAlternatives))
        prompts = try Self.prompts(fields, model.tokenizer)
        guard prompts.count * generation.count <= GenerationFields.mostTexts else {
            throw fields.wrong("prompt", "\(GenerationFields.mostTexts) texts are possible, n for each prompt")
        }
        self.generation = generation
    }

    /// A string, a list of strings, a list of token ids, or a list of such lists.
    private static func prompts(_ fields: Fields, _ tokenizer: Tokenizer) throws(APIError) -> [[Int32]] {
        guard let value = fields["prompt"] else { throw fields.wrong("prompt", "is missing") }
        if let text = value.string { return [tokenizer.encode(text)] }
        let list = value.array ?? []
        if let ids = tokens(list) { return [ids] }
        // Counted before any is encoded.
        guard !list.isEmpty, list.count <= GenerationFields.mostTexts else {
            throw fields.wrong("prompt", "a string or a list of 1 to \(GenerationFields.mostTexts) is needed")
        }
        return try list.map { (element) throws(APIError) in
            if let text = element.string { return tokenizer.encode(text) }
            guard let ids = element.array.flatMap(tokens) else {
                throw fields.wrong("prompt", "a string, a list of strings, or token ids are needed")
            }
            return ids
        }
    }

    /// Token ids; nil for anything else. The engine knows which there are.
    private static func tokens(_ list: [JSON]) -> [Int32]? {
        let ids = list.compactMap { $0.integer.flatMap { Int32(exactly: $0) } }
        return ids.count == list.count && !list.isEmpty ? ids : nil
    }
}
