// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// What the requests of both endpoints have in common: how to generate, how many texts, and how to send them.
struct GenerationFields {
    /// Most texts of a request.
    static let mostTexts = 16
    /// Most stop strings.
    static let mostStops = 4
    /// Most alternatives of a token.
    static let mostAlternatives = 20

    /// Without a seed of its own for each text.
    private(set) var options: GenerationOptions
    /// Texts for each prompt.
    let count: Int
    /// Whether the answer comes in pieces.
    let streams: Bool
    /// Whether the last piece says what the answer cost.
    let streamsUsage: Bool

    /// - Parameters:
    ///   - maxTokens: most tokens of an answer.
    ///   - standard: how many where the request does not say.
    /// - Throws: `APIError` with the name of what is not understood or not there.
    init(_ fields: Fields, maxTokens: Int, standard: Int) throws(APIError) {
        try RefusedField.check(fields)
        count = try fields.integer("n", in: 1...Self.mostTexts) ?? 1
        if let best = try fields.integer("best_of", in: 1...Int.max), best != count {
            throw fields.wrong("best_of", "only the value of n is supported", code: "unsupported_parameter")
        }
        streams = try fields.bool("stream") ?? false
        streamsUsage = try fields.object("stream_options")?.bool("include_usage") ?? false
        options = GenerationOptions()
        options.maxTokens = min(standard, maxTokens)
        for key in ["max_tokens", "max_completion_tokens"] {
            options.maxTokens = try fields.integer(key, in: 1...maxTokens) ?? options.maxTokens
        }
        try readSampling(fields)
        options.stop = try fields.strings("stop") ?? []
        guard options.stop.count <= Self.mostStops else {
            throw fields.wrong("stop", "at most \(Self.mostStops) strings are possible")
        }
        guard !options.stop.contains("") else { throw fields.wrong("stop", "an empty string ends nothing") }
        options.ignoresEndOfText = try fields.bool("ignore_eos") ?? false
        options.constraint = try Self.constraint(fields)
    }

    private mutating func readSampling(_ fields: Fields) throws(APIError) {
        var sampling = options.sampling
        sampling.temperature = try fields.number("temperature", in: 0...100) ?? sampling.temperature
        sampling.topP = try fields.number("top_p", in: 0...1) ?? sampling.topP
        // OpenAI's clients write 0 for "the most likely token only".
        if sampling.topP == 0 { sampling.topP = .leastNonzeroMagnitude }
        sampling.topK = try fields.integer("top_k", in: 0...Int.max) ?? sampling.topK
        sampling.minP = try fields.number("min_p", in: 0...1) ?? sampling.minP
        sampling.repeatPenalty =
            try fields.number("repeat_penalty", in: Float.leastNonzeroMagnitude...100) ?? sampling.repeatPenalty
        let seed = try fields.integer("seed", in: Int64.min...Int64.max)
        sampling.seed = seed.map { UInt64(bitPattern: $0) } ?? UInt64.random(in: 0...0xFFFF_FFFF)
        options.sampling = sampling
    }

    /// What the text has to be; nil for anything.
    private static func constraint(_ fields: Fields) throws(APIError) -> Constraint? {
        let given = ["response_format", "json_schema", "regex", "grammar"].filter { fields[$0] != nil }
        guard given.count <= 1 else { throw fields.wrong(given[1], "cannot be combined with \(given[0])") }
        guard let key = given.first, let value = fields[key] else { return nil }
        let text = try ["regex", "grammar"].contains(key) ? fields.string(key) : nil
        do throws(ConstraintError) {
            switch key {
            case "response_format": return try .responseFormat(value)
            case "json_schema": return try .jsonSchema(value)
            case "regex": return try .regularExpression(text!)
            default: return try .grammar(text!)
            }
        } catch {
            throw fields.wrong(key, error.description)
        }
    }

    /// Asks for the probabilities of tokens.
    mutating func askForProbabilities(_ alternatives: Int?) { options.logProbabilities = alternatives }

    /// The texts to generate: `count` for each prompt, the first with the request's seed, each other one with the next.
    func texts(_ prompts: [[Int32]]) -> [Job.Text] {
        prompts.flatMap { prompt in
            (0..<count).map { index in
                var options = options
                options.sampling.seed &+= UInt64(index)
                return Job.Text(prompt: prompt, options: options)
            }
        }
    }
}
