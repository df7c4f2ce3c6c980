// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyTokenizer

/// How well a model expects a given continuation of a text.
public struct ContinuationScore: Sendable, Equatable {
    /// The natural logarithm of its probability: the sum over its tokens, each after all before it.
    public let logProbability: Double
    /// How many tokens that are.
    public let tokens: Int
    /// Whether greedy decoding would have written just these tokens.
    public let isGreedy: Bool
}

extension Session {
    /// Scores continuations of one prompt, each on its own.
    ///
    /// The prompt is evaluated once, and of it only what the tokens read so far do not begin with: prompts that begin alike
    /// are cheap one after another. Probabilities are those of `perplexity(of:)`: a softmax of exact logits in the order
    /// that the numeric contract fixes (docs/NUMERICS.md, 7), logarithms and sums in Double. No score depends on threads, blocks,
    /// kernels, or on what was read before. Afterwards the session has read the prompt.
    ///
    /// - Parameters:
    ///   - continuations: tokens, at least one each.
    ///   - prompt: the tokens before them, at least one.
    ///   - densePrompt: whether the prompt is evaluated with every neuron and head, as generation does it
    ///     (`prefill`); otherwise with those of `Options.sparsity`, as `perplexity(of:)` does it. Tokens of continuations are
    ///     always evaluated as decoding does.
    ///   - shouldContinue: called before each block of tokens; false ends the work.
    /// - Returns: a score for each continuation; nil if the work was ended.
    /// - Complexity: O((prompt + tokens of all continuations) * (weights + context)).
    /// - Throws: `RuntimeError`, among others for a prompt or a continuation without tokens, and where they do not fit the
    ///   context.
    public func scores(
        of continuations: [[Int32]], after prompt: [Int32], densePrompt: Bool = true,
        while shouldContinue: () -> Bool = { true }
    ) throws(RuntimeError) -> [ContinuationScore]? {
        guard !prompt.isEmpty else { throw .emptyInput("there is no token before the continuations") }
        let vocabulary = model.config.vocabularySize
        for (index, tokens) in continuations.enumerated() {
            guard !tokens.isEmpty else { throw .emptyInput("continuation \(index) has no tokens") }
            // The last token of a continuation is predicted and never evaluated.
            guard tokens.count - 1 <= contextLimit - prompt.count else { throw .contextFull(limit: contextLimit) }
            for id in tokens where id < 0 || Int(id) >= vocabulary {
                throw .tokenOutOfRange(id, vocabularySize: vocabulary)
            }
        }
        guard try read(prompt, dense: densePrompt, while: shouldContinue) else { return nil }
        let after = Array(logits)
        var scores: [ContinuationScore] = []
        for tokens in continuations {
            guard let score = try score(of: tokens, afterLogits: after, while: shouldContinue) else { return nil }
            rewind(to: prompt.count)
            scores.append(score)
        }
        return scores
    }

    /// Evaluates a prompt from where it departs from what was read in the same way.
    private func read(_ prompt: [Int32], dense: Bool, while shouldContinue: () -> Bool) throws(RuntimeError) -> Bool {
        // Keys and values of tokens that were evaluated the other way are others.
        if isSparse { rewind(to: dense ? denseTokens : denseTokens > 0 ? 0 : tokens.count) }
        let rest = Array(keepBeginning(of: prompt))
        return try evaluateBlocks(rest, dense: dense, while: shouldContinue)
    }

    /// - Parameter afterLogits: those for the first token.
    private func score(
        of tokens: [Int32], afterLogits: [Float], while shouldContinue: () -> Bool
    ) throws(RuntimeError) -> ContinuationScore? {
        var predictions = [Prediction](repeating: Prediction(), count: tokens.count)
        var first = afterLogits
        predictions[0] = first.withUnsafeMutableBufferPointer { prediction(of: tokens[0], $0.baseAddress!) }
        let (start, vocabulary) = (self.tokens.count, model.config.vocabularySize)
        let isComplete = try evaluateBlocks(Array(tokens.dropLast()), logitsFrom: 0) { position, rows in
            predictions.withUnsafeMutableBufferPointer { predictions in
                nonisolated(unsafe) let predictions = predictions
                pool.run(rows.count / vocabulary) { t, _ in
                    let next = position - start + t + 1
                    predictions[next] = prediction(
                        of: tokens[next], UnsafeMutablePointer(mutating: rows.baseAddress! + t * vocabulary))
                }
            }
        } while: {
            shouldContinue()
        }
        guard isComplete else { return nil }
        return ContinuationScore(
            logProbability: predictions.reduce(0) { $0 - $1.loss }, tokens: tokens.count,
            isGreedy: predictions.allSatisfy { $0.isGreedy })
    }

    /// What the logits before a token say of it.
    private struct Prediction {
        /// -ln of its probability.
        var loss = 0.0
        var isGreedy = false
    }

    /// Overwrites the logits.
    private func prediction(of token: Int32, _ logits: UnsafeMutablePointer<Float>) -> Prediction {
        // Before the loss, which overwrites them.
        let isGreedy = argmax(logits, model.config.vocabularySize) == Int(token)
        return Prediction(loss: loss(logits, Int(token)), isGreedy: isGreedy)
    }
}

/// The tokens of a prompt and of its continuation.
public struct ContinuationTokens: Sendable, Equatable {
    /// The tokens of the prompt alone.
    public let prompt: [Int32]
    /// Those of prompt and continuation together, without as many as the prompt has. Empty if the continuation merges with
    /// the prompt altogether.
    public let continuation: [Int32]
    /// Whether a token reaches across the seam: the tokens of both together do not begin with those of the prompt, and the
    /// score leaves out what merged with the prompt.
    public let isMerged: Bool

    /// Splits the tokens of both together.
    /// - Parameters:
    ///   - prompt: the tokens of the prompt alone.
    ///   - both: the tokens of the prompt and the continuation as one text.
    public init(prompt: [Int32], both: [Int32]) {
        self.prompt = prompt
        continuation = Array(both.dropFirst(prompt.count))
        isMerged = !both.starts(with: prompt)
    }
}

extension Tokenizer {
    /// The tokens of a prompt and of its continuation, as EleutherAI's lm-evaluation-harness splits them: both are encoded
    /// as one text, from which as many tokens are taken as the prompt alone has. White space at the end of the prompt
    /// is moved to the continuation, since most vocabularies write words with the space before them. A prompt
    /// without tokens becomes the token that begins texts or, in models without one, that ends them.
    ///
    /// Complexity as `encode(_:)` of both.
    public func continuation(_ continuation: String, of prompt: String) -> ContinuationTokens {
        var start = prompt[...]
        while let last = start.unicodeScalars.last, last.properties.isWhitespace { start.unicodeScalars.removeLast() }
        let (alone, both) = (encode(String(start)), encode(prompt + continuation))
        guard alone.isEmpty, let beginning = bos ?? eos else { return ContinuationTokens(prompt: alone, both: both) }
        return ContinuationTokens(prompt: [beginning], both: [beginning] + both)
    }
}
