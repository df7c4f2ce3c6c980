// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyTokenizer

/// How well a model expects a text: the exponential of the mean negative log likelihood of its tokens.
public struct Perplexity: Sendable {
    /// Tokens whose predictions were counted.
    public internal(set) var tokens = 0
    var sum = 0.0
    var squares = 0.0
    /// How the screen of the output matrix did on the same tokens; nil without one at work. Losses are those of the
    /// whole matrix: a screen is for choosing tokens, and what it leaves out has no exact probability.
    package internal(set) var screen: LMHeadScreenQuality?

    /// Perplexity.
    public var value: Double { tokens == 0 ? .nan : Double64.exp(mean) }
    /// Mean negative log likelihood in nats a token.
    public var mean: Double { sum / Double(tokens) }
    /// Standard error of `value`.
    public var standardError: Double {
        guard tokens > 1 else { return .nan }
        let variance = max(squares / Double(tokens) - mean * mean, 0)
        return value * (variance / Double(tokens - 1)).squareRoot()
    }

    mutating func add(_ loss: Double) {
        tokens += 1
        sum += loss
        squares += loss * loss
    }
}

extension Session {
    /// Perplexity of `text` by the protocol of llama.cpp's `llama-perplexity`: chunks of `context` tokens, each
    /// read on its own after the beginning-of-text token (in the place of its first token, if the model adds
    /// one), counting the predictions of the second half.
    ///
    /// - Parameters:
    ///   - chunks: at most so many; nil for all.
    ///   - progress: called after every chunk; returning false ends the measurement.
    /// - Throws: `RuntimeError`, among others for a text shorter than one chunk.
    public func perplexity(
        of text: String, context: Int, chunks: Int? = nil,
        progress: (_ done: Int, _ of: Int, Perplexity) -> Bool = { _, _, _ in true }
    ) throws(RuntimeError) -> Perplexity {
        guard context >= 4, context <= contextLimit else {
            throw .badOption("chunks of \(context) tokens; 4 to \(contextLimit) are possible in this session")
        }
        let ids = model.tokenizer.encode(text, addSpecial: true)
        let count = min(chunks ?? Int.max, ids.count / context)
        guard count > 0 else {
            throw .emptyInput("the text has \(ids.count) tokens; a chunk needs \(context)")
        }
        var result = Perplexity()
        for chunk in 0..<count {
            var tokens = Array(ids[chunk * context..<(chunk + 1) * context])
            if model.tokenizer.addsBOS, let bos = model.tokenizer.bos { tokens[0] = bos }
            for loss in try losses(of: tokens, from: context / 2, screen: &result.screen) { result.add(loss) }
            if !progress(chunk + 1, count, result) { break }
        }
        return result
    }

    /// Negative log likelihoods of `tokens[first + 1...]`, each after all tokens before it.
    /// - Parameter screen: gets what the screen of the output matrix does on the same tokens.
    private func losses(
        of tokens: [Int32], from first: Int, screen: inout LMHeadScreenQuality?
    ) throws(RuntimeError) -> [Double] {
        var failure: RuntimeError?
        rewind(to: 0)
        var losses = [Double](repeating: 0, count: tokens.count - 1 - first)
        let vocabulary = model.config.vocabularySize
        try evaluateBlocks(tokens, logitsFrom: first) { position, rows in
            let count = min(rows.count / vocabulary, tokens.count - 1 - position)
            // Before the losses, which overwrite the logits.
            do throws(RuntimeError) {
                try compareScreen(position - self.tokens.count, rows, to: &screen)
            } catch {
                failure = error
            }
            losses.withUnsafeMutableBufferPointer { losses in
                nonisolated(unsafe) let losses = losses
                pool.run(count) { t, _ in
                    let row = rows.baseAddress! + t * vocabulary
                    losses[position + t - first] = loss(row, Int(tokens[position + t + 1]))
                }
            }
        }
        rewind(to: 0)
        if let failure { throw failure }
        return losses
    }

    /// -ln softmax(logits)[target]. Overwrites the logits.
    func loss(_ logits: UnsafePointer<Float>, _ target: Int) -> Double {
        let logits = UnsafeMutablePointer(mutating: logits)
        let count = model.config.vocabularySize
        let largest = kernels.largest(logits, count)
        let own = logits[target]
        let total = kernels.softmaxWeights(logits, 0, count, largest)
        return Double64.ln(Double(total)) - Double(own - largest)
    }
}
