// SPDX-License-Identifier: Apache-2.0

/// A token that may come next.
package struct DraftToken {
    package let id: Int32
    /// How much speaks for it: a level, of which the planner learns how often it is right.
    package let evidence: Int

    package init(id: Int32, evidence: Int) {
        self.id = id
        self.evidence = evidence
    }
}

/// Makes drafts: guesses how a text goes on.
protocol DraftSource: AnyObject {
    /// By level of evidence, how often a token may be right as long as nothing is known.
    var expectations: [Double] { get }
    /// Whether a draft costs nothing that counts.
    var isFree: Bool { get }

    /// Begins a draft that continues `tokens` and `last`.
    /// - Parameter sampler: what will choose; a draft that chooses alike is right more often.
    func begin(_ tokens: [Int32], _ last: Int32, _ sampler: Sampler)
    /// The next token of the draft; nil if there is none.
    func next() -> DraftToken?
}

/// Chooses the tokens of a draft from the logits of a model.
struct DraftSampler {
    private var sampler: Sampler
    /// How many of the largest logits it looks at.
    let topK: Int

    init(_ sampler: Sampler) {
        self.sampler = sampler
        topK = sampler.topLogits
    }

    /// A token is more certain the farther its logit is above all others.
    static let expectations = [0.3, 0.45, 0.6, 0.75, 0.9]
    private static let margins: [Float] = [0.5, 1, 2, 4]

    /// nil if the logits are not finite. O(vocabulary).
    mutating func choose(_ logits: UnsafeBufferPointer<Float>, history: [Int32]) -> DraftToken? {
        guard let id = try? sampler.next(logits, history: history) else { return nil }
        let best = sampler.mostLikely(2, logits, history: history)
        let margin = logits[Int(id)] - logits[Int(best[0] == id ? best[best.count - 1] : best[0])]
        return DraftToken(id: id, evidence: Self.margins.count { margin >= $0 })
    }
}
