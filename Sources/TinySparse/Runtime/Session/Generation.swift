// SPDX-License-Identifier: Apache-2.0

import TinyConstraints
import TinyTokenizer

/// What to generate and when to stop.
public struct GenerationOptions: Sendable {
    /// Most tokens to generate.
    public var maxTokens = 256
    /// How tokens are chosen.
    public var sampling = SamplingOptions()
    /// Texts that end the output; they are not part of it.
    public var stop: [String] = []
    /// Whether tokens that end a text are like others, and the text goes on to `maxTokens`.
    public var ignoresEndOfText = false
    /// What the text has to be; nil for anything. It ends where the constraint is met and either the model says so or
    /// nothing can follow. What ends it otherwise (`maxTokens`, `stop`, a full context) leaves the beginning of such a text.
    /// With `ignoresEndOfText`, it goes on as long as anything can follow.
    public var constraint: Constraint?
    /// With each token, say how likely it was, and so many of the most likely tokens; nil for nothing of it. Every logit is
    /// then computed, as if there were no screen of the LM head (`Session.Options.screensHead`): the text is that.
    public var logProbabilities: Int?
    /// When the context is full: evaluate its first `keep` tokens and the newer half of the rest anew and go
    /// on, instead of stopping. The text goes on exactly as if only those tokens had been there. A beginning-of-text
    /// token at the beginning is kept in any case.
    public var shiftsContext = false
    /// How many tokens from the beginning of the context a shift keeps.
    public var keep = 0

    /// The defaults above.
    public init() {}
}

/// Why a text ended.
public enum StopReason: Sendable, Equatable {
    /// The model said so.
    case endOfText
    case maxTokens
    case stopString(String)
    case contextFull
    /// The caller did.
    case cancelled
}

/// A text being generated: an iterator of pieces, each of whole characters.
public struct Generation {
    private let session: Session
    private var state: GenerationState
    /// Chosen, returned, and not yet evaluated.
    private var pending: Int32?

    /// Tokens chosen so far.
    public var generated: [Int32] { state.generated }
    /// Set when the text has ended.
    public var reason: StopReason? { state.reason }
    /// How likely the last token was, if `GenerationOptions.logProbabilities` asks for it. A token that ends the text is none.
    public private(set) var choice: TokenChoice?

    /// Prefills the prompt.
    /// - Parameter shouldContinue: called before each block of the prompt; false cancels the generation.
    /// - Throws: `RuntimeError`.
    init(
        _ session: Session, prompt: [Int32], _ options: GenerationOptions, while shouldContinue: () -> Bool
    ) throws(RuntimeError) {
        state = try GenerationState(options, session.model)
        guard session.tokens.count + prompt.count > 0 else { throw .emptyPrompt }
        self.session = session
        if try !session.prefill(prompt, topK: state.topK, while: shouldContinue) { state.cancel() }
    }

    /// The next piece, or nil when the text has ended (`reason` then tells why). A piece can be empty: a token
    /// may hold part of a character.
    /// - Parameter shouldContinue: called before each block that is evaluated anew where the context is shifted; false cancels
    ///   the generation.
    public mutating func next(while shouldContinue: () -> Bool = { true }) throws(RuntimeError) -> String? {
        guard reason == nil else { return nil }
        if state.isComplete { return state.finish(.maxTokens) }
        if let token = pending {
            if session.tokens.count == session.contextLimit {
                guard state.options.shiftsContext else { return state.finish(.contextFull) }
                guard try shift(while: shouldContinue) else {
                    state.cancel()
                    return nil
                }
            }
            try session.decode(token, for: state)
        }
        let count = generated.count
        let text = try state.choose(session.logits, history: session.tokens, session.model.tokenizer)
        pending = generated.last
        choice = generated.count > count ? state.choice(by: session.logits, session.kernels) : nil
        return text
    }

    /// Ends the text from outside.
    public mutating func cancel() { state.cancel() }

    /// - Returns: false if `shouldContinue` ended it.
    private func shift(while shouldContinue: () -> Bool) throws(RuntimeError) -> Bool {
        let (keep, recent) = state.shifted(session.tokens, session.model.tokenizer)
        session.rewind(to: keep)
        return try session.prefill(recent, topK: state.topK, while: shouldContinue)
    }
}

extension RuntimeError {
    static var emptyPrompt: RuntimeError {
        .emptyInput("the prompt is empty, and this model adds no token before a text; give some text to go on from")
    }
}

/// How a generation went.
public struct GenerationResult: Sendable {
    /// The tokens generated.
    public let tokens: [Int32]
    /// Why it ended.
    public let reason: StopReason
}

extension Session {
    /// Prefills a prompt and generates after it: an iterator that the caller advances.
    /// - Parameters:
    ///   - prompt: token ids; empty to go on after what the session has evaluated.
    ///   - shouldContinue: called before each block of the prompt; false cancels the generation (`reason` then is
    ///     `.cancelled`).
    /// - Throws: `RuntimeError`.
    public func generation(
        prompt: [Int32], _ options: GenerationOptions = GenerationOptions(), while shouldContinue: () -> Bool = { true }
    ) throws(RuntimeError) -> Generation {
        try Generation(self, prompt: prompt, options, while: shouldContinue)
    }

    #if !hasFeature(Embedded)  // Embedded Swift knows neither errors of any type nor tasks.
    /// Prefills a prompt and generates after it, calling `onPiece` with every piece until it returns false.
    ///
    /// - Parameters:
    ///   - prompt: text; a beginning-of-text token is put before it if the model has one and nothing was evaluated before.
    ///   - shouldContinue: called before each block of the prompt; false cancels the generation.
    /// - Throws: `RuntimeError`, or what `onPiece` throws.
    @discardableResult
    public func generate(
        _ prompt: String, _ options: GenerationOptions = GenerationOptions(),
        while shouldContinue: () -> Bool = { true }, onPiece: (String) throws -> Bool
    ) throws -> GenerationResult {
        let ids = model.tokenizer.encode(prompt, addSpecial: tokens.isEmpty)
        var generation = try generation(prompt: ids, options, while: shouldContinue)
        while let piece = try generation.next(while: shouldContinue) {
            if !piece.isEmpty, try !onPiece(piece) { generation.cancel() }
        }
        return GenerationResult(tokens: generation.generated, reason: generation.reason ?? .cancelled)
    }

    /// Prefills a prompt and generates after it, as an asynchronous sequence of pieces.
    ///
    ///     for try await piece in session.stream("Once upon a time") { print(piece, terminator: "") }
    ///
    /// Each piece is computed when it is requested, on the caller's actor, between two suspension points: on the main
    /// actor it blocks the main thread for the time of a token. Run it in an actor of its own there.
    /// Cancelling the task ends the sequence, in a prompt between two blocks.
    public func stream(_ prompt: String, _ options: GenerationOptions = GenerationOptions()) -> TextStream {
        TextStream(session: self, prompt: prompt, options: options)
    }
    #endif
}

#if !hasFeature(Embedded)
/// Pieces of a text as it is written: see `Session.stream`.
public struct TextStream: AsyncSequence {
    let session: Session
    let prompt: String
    let options: GenerationOptions

    /// Starts a generation; the prompt is prefilled at the first call of `next`.
    public func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    /// Generates the pieces.
    public struct Iterator: AsyncIteratorProtocol {
        let stream: TextStream
        private var generation: Generation?

        init(stream: TextStream) { self.stream = stream }

        /// The next piece that is not empty; nil at the end. - Throws: `RuntimeError`.
        public mutating func next() async throws -> String? { try await next(isolation: nil) }

        /// The same on the caller's actor.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> String? {
            await Task.yield()
            if generation == nil {
                let session = stream.session
                let ids = session.model.tokenizer.encode(stream.prompt, addSpecial: session.tokens.isEmpty)
                generation = try session.generation(prompt: ids, stream.options, while: { !Task.isCancelled })
            }
            while !Task.isCancelled {
                guard let piece = try generation?.next(while: { !Task.isCancelled }) else { return nil }
                if !piece.isEmpty { return piece }
            }
            return nil
        }
    }
}
#endif
