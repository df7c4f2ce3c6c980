// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyConstraints
import TinyTokenizer

/// The choosing of tokens, one after another, and what text they make: a generation without what computes the logits.
struct GenerationState {
    let options: GenerationOptions
    private(set) var sampler: Sampler
    private let constraint: ConstrainedChoice?
    private var decoder = StreamingDecoder()
    private var stops: StopStrings
    /// Tokens chosen so far.
    private(set) var generated: [Int32] = []
    /// Set when the text has ended.
    private(set) var reason: StopReason?

    /// - Throws: `RuntimeError.badOption`, `RuntimeError.constraint`.
    init(_ options: GenerationOptions, _ model: Model) throws(RuntimeError) {
        guard options.maxTokens >= 0 else { throw .badOption("\(options.maxTokens) tokens cannot be generated") }
        if let count = options.logProbabilities, count < 0 {
            throw .badOption("the probabilities of \(count) tokens cannot be given")
        }
        sampler = try Sampler(options.sampling)
        stops = StopStrings(options.stop)
        self.options = options
        constraint = try options.constraint.map { (constraint) throws(RuntimeError) in
            try ConstrainedChoice(constraint, options, model.tokenBytes)
        }
    }

    /// How many of the largest logits have to be exact; 0 for all.
    var topK: Int { options.logProbabilities != nil || isConstrained ? 0 : sampler.topLogits }

    /// How many tokens may still be chosen.
    var remaining: Int { max(options.maxTokens - generated.count, 0) }
    /// Whether as many tokens have been chosen as may be.
    var isComplete: Bool { remaining == 0 }

    /// Chooses a token.
    /// - Parameter history: the tokens whose last one the logits belong to.
    /// - Returns: its text, which may be empty; nil if the text has ended without any.
    /// - Throws: `RuntimeError.nonFiniteLogits`, `RuntimeError.constraint`.
    mutating func choose(
        _ logits: UnsafeBufferPointer<Float>, history: [Int32], _ tokenizer: Tokenizer
    ) throws(RuntimeError) -> String? {
        guard let token = try nextToken(logits, history) else { return finish(.endOfText) }
        if !options.ignoresEndOfText, tokenizer.isEndOfGeneration(token) { return finish(.endOfText) }
        generated.append(token)
        let text = tokenizer.isControl(token) ? "" : decoder.feed(token, of: tokenizer)
        let output = stops.feed(text)
        if let stop = output.stop { reason = .stopString(stop) }
        // Nothing can follow: the model need not say that the text ends.
        return isAtEnd && reason == nil ? output.text + (finish(.endOfText) ?? "") : output.text
    }

    private var isConstrained: Bool { constraint != nil }
    private var isAtEnd: Bool { constraint?.isAtEnd ?? false }

    /// nil if the text ends because a constraint lets nothing follow.
    private mutating func nextToken(
        _ logits: UnsafeBufferPointer<Float>, _ history: [Int32]
    ) throws(RuntimeError) -> Int32? {
        guard let constraint else { return try sampler.next(logits, history: history) }
        return try constraint.next(&sampler, logits, history: history)
    }

    /// How likely the last token was by the logits it was chosen by; nil if nobody asks.
    func choice(by logits: UnsafeBufferPointer<Float>, _ kernels: KernelTable) -> TokenChoice? {
        guard let count = options.logProbabilities, let token = generated.last else { return nil }
        return TokenChoice(token, mostLikely: count, logits, sampler, kernels)
    }

    /// Ends the text; returns what is left of it, or nil.
    mutating func finish(_ why: StopReason) -> String? {
        // Half a character is not shown where it was not the model that ended the text.
        if why != .endOfText { decoder = StreamingDecoder() }
        let rest = stops.feed(decoder.finish())
        reason = rest.stop.map { .stopString($0) } ?? why
        let text = rest.text + stops.finish()
        return text.isEmpty ? nil : text
    }

    /// Ends the text from outside.
    mutating func cancel() {
        if reason == nil { reason = .cancelled }
    }

    /// What to keep of a full context: its beginning, and as much of its end. The end is evaluated anew.
    func shifted(_ tokens: [Int32], _ tokenizer: Tokenizer) -> (keep: Int, recent: ArraySlice<Int32>) {
        let least = tokens.first == tokenizer.bos ? 1 : 0
        let keep = min(max(options.keep, least), tokens.count / 2)
        return (keep, tokens.suffix((tokens.count - keep) / 2))
    }
}
