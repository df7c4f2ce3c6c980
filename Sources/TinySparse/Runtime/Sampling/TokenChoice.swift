// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// How likely a token was that was chosen, and what else was likely: see `GenerationOptions.logProbabilities`.
///
/// The probabilities are those of the model: the softmax of its logits, before temperature, penalties, filters and
/// constraints.
public struct TokenChoice: Sendable, Equatable {
    /// A token and the natural logarithm of its probability.
    public struct Candidate: Sendable, Equatable {
        /// The id.
        public let id: Int32
        /// At most 0.
        public let logProbability: Float
    }

    /// The token that was chosen.
    public let chosen: Candidate
    /// The most likely tokens, the most likely one first; of equals, the lower id.
    public let mostLikely: [Candidate]

    /// - Parameters:
    ///   - count: of the most likely tokens; at most all are listed.
    ///   - logits: `[vocabularySize]`, all finite.
    /// - Complexity: O(vocabularySize * log count) at worst.
    init(
        _ token: Int32, mostLikely count: Int, _ logits: UnsafeBufferPointer<Float>, _ sampler: Sampler,
        _ kernels: KernelTable
    ) {
        let largest = kernels.largest(logits.baseAddress!, logits.count)
        let total = withUnsafeTemporaryAllocation(of: Float.self, capacity: logits.count) { weights in
            _ = weights.initialize(fromContentsOf: logits)
            return kernels.softmaxWeights(weights.baseAddress!, 0, logits.count, largest)
        }
        let normalizer = Double64.ln(Double(total))
        func candidate(_ id: Int32) -> Candidate {
            // Rounding may lift a certain token above 0.
            Candidate(id: id, logProbability: Float(min(Double(logits[Int(id)] - largest) - normalizer, 0)))
        }
        chosen = candidate(token)
        mostLikely = count == 0 ? [] : sampler.mostLikely(count, logits, history: []).map(candidate)
    }
}
