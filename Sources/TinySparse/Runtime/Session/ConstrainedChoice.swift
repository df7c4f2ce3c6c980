// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TinyConstraints
import TinyPlatform
import TinyTokenizer

/// Chooses the tokens of a text that a constraint describes: as the sampler does, with the logits of all tokens that cannot
/// come next at minus infinity.
final class ConstrainedChoice {
    private let matcher: ConstraintMatcher
    /// How many of the most likely tokens the sampler looks at; 0 for all.
    private let wanted: Int
    /// Tokens tried beyond those wanted, before all are computed that can come next.
    private static let spare = 64
    private static let mostTried = 1024

    /// - Throws: `RuntimeError.constraint`.
    init(_ constraint: Constraint, _ options: GenerationOptions, _ vocabulary: TokenBytes) throws(RuntimeError) {
        let sampling = options.sampling
        wanted = sampling.temperature == 0 ? 1 : sampling.topK
        do throws(ConstraintError) {
            matcher = try ConstraintMatcher(constraint, vocabulary, allowsEnd: !options.ignoresEndOfText)
        } catch {
            throw RuntimeError(error)
        }
    }

    /// Whether the text is complete and nothing can follow.
    var isAtEnd: Bool { matcher.isAtEnd }

    /// The next token, which may be one that ends the text; nil if the text ends because nothing can follow.
    /// - Complexity: O(vocabulary) as without a constraint, and the bytes of the tokens that are tried: some of the most
    ///   likely ones, or once for each state of the constraint all that begin as the text can go on.
    /// - Throws: `RuntimeError`, also if no token of the vocabulary can follow although the text is not complete.
    func next(
        _ sampler: inout Sampler, _ logits: UnsafeBufferPointer<Float>, history: [Int32]
    ) throws(RuntimeError) -> Int32? {
        let candidates: [Int32]
        do throws(ConstraintError) {
            candidates = try self.candidates(sampler, logits, history)
        } catch {
            throw RuntimeError(error)
        }
        guard !candidates.isEmpty else {
            if matcher.accepts { return nil }
            throw .constraint(
                "no token of this vocabulary can follow although the text is not complete: the model has no tokens for "
                    + "some bytes that the constraint demands")
        }
        let token = try sampler.next(logits, history: history, among: candidates)
        do throws(ConstraintError) {
            try matcher.advance(token)
        } catch {
            throw RuntimeError(error)
        }
        return token
    }

    /// The most likely tokens that can come next, as many as are wanted, or all.
    private func candidates(
        _ sampler: Sampler, _ logits: UnsafeBufferPointer<Float>, _ history: [Int32]
    ) throws(ConstraintError) -> [Int32] {
        if wanted > 0, wanted + Self.spare <= Self.mostTried, !matcher.knowsAllowed {
            var allowed: [Int32] = []
            for id in sampler.mostLikely(wanted + Self.spare, logits, history: history) where try matcher.allows(id) {
                allowed.append(id)
                if allowed.count == wanted { return allowed }
            }
        }
        return try matcher.allowed()
    }
}

extension RuntimeError {
    fileprivate init(_ error: ConstraintError) { self = .constraint(error.description) }
}

/// The texts of a model's tokens, put together when they are first needed.
final class LazyTokenBytes: Sendable {
    private let known = Mutex<TokenBytes?>(nil)

    /// - Parameter size: of the vocabulary of logits, which may be larger than that of the tokenizer.
    /// - Complexity: O(bytes * log tokens), once.
    func value(_ tokenizer: Tokenizer, size: Int) -> TokenBytes {
        known.withLock { known in
            if let known { return known }
            let texts = (0..<Int32(size)).map { tokenizer.isControl($0) ? [] : tokenizer.piece(of: $0) }
            let made = TokenBytes(texts, ends: tokenizer.endOfGeneration)
            known = made
            return made
        }
    }
}
