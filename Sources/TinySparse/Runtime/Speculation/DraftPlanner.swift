// SPDX-License-Identifier: Apache-2.0

/// Decides how many tokens of a draft are evaluated.
///
/// It knows, by running means, how long a token takes alone and with drafts of each length, and by level of evidence how
/// often tokens of drafts are right: a draft is as long as pays. And it keeps accounts: what drafts have cost beyond what
/// they saved may be 2 % of the time, whatever the means promise. Time decides how fast a text comes, never what it says.
package struct DraftPlanner {
    /// Seconds of a token without a draft; 0 before the first.
    private var plain = 0.0
    /// Seconds of a block with a draft of 1, 2, ... tokens; 0 where it is unknown.
    private var blocks: [Double]
    /// Seconds to make a token of a draft.
    private var making = 0.0
    /// By evidence, the share of tokens that were right, and of how many.
    private var right: [(share: Double, count: Double)]
    /// Seconds in all, and what drafts have saved.
    private var elapsed = 0.0, saved = 0.0
    /// Tokens without a draft since the last one.
    private var idle = 0

    private static let lossShare = 0.02
    /// So many tokens after the last draft one is tried even if it seems not to pay: texts change, and means were wrong.
    private static let patience = 64

    /// - Parameter longest: most tokens of a draft.
    package init(longest: Int, expectations: [Double]) {
        blocks = [Double](repeating: 0, count: longest)
        right = expectations.map { ($0, 4) }
    }

    /// Seconds of a block with a draft of so many tokens, by what is known of the nearest shorter one.
    private func cost(_ count: Int) -> Double {
        guard count > 0 else { return plain }
        if blocks[count - 1] > 0 { return blocks[count - 1] }
        let known = (1..<count).last { blocks[$0 - 1] > 0 }
        guard let known else { return plain * (1.1 + 0.1 * Double(count)) }
        let slope = max(blocks[known - 1] - plain, 0.05 * plain) / Double(known)
        return blocks[known - 1] + slope * Double(count - known)
    }

    /// Whether to make another token for a draft which has these.
    package func goesOn(_ draft: [DraftToken]) -> Bool {
        guard draft.count < most else { return false }
        // What is not made yet is as good as what was made last, or as all were.
        let next = draft.last.map { right[$0.evidence].share } ?? meanShare
        let chance = draft.reduce(next) { $0 * right[$1.evidence].share }
        // Before the first, a guess.
        let making = making > 0 ? making : plain / 2
        let more = cost(draft.count + 1) - cost(draft.count) + making
        let pays = chance * plain > more || draft.isEmpty && idle >= Self.patience
        return pays && mayCost(cost(draft.count + 1) - plain + making * Double(draft.count + 1))
    }

    /// Longest draft worth a thought: about twice the longest whose time is known, because guesses of times can be wrong.
    private var most: Int {
        guard plain > 0 else { return 0 }
        return min(2 * (blocks.lastIndex { $0 > 0 }.map { $0 + 1 } ?? 0) + 1, blocks.count)
    }

    private var meanShare: Double {
        right.reduce(0) { $0 + $1.share * $1.count } / right.reduce(0) { $0 + $1.count }
    }

    /// How many tokens of a draft to evaluate.
    package func length(of draft: [DraftToken]) -> Int {
        var best = (count: 0, gain: 0.0)
        var chance = 1.0, expected = 0.0
        for (i, token) in draft.enumerated() where i < most {
            chance *= right[token.evidence].share
            expected += chance
            let extra = cost(i + 1) - plain
            guard mayCost(extra) else { break }
            let gain = expected * plain - extra
            if gain > best.gain { best = (i + 1, gain) }
        }
        if best.count == 0, idle >= Self.patience, !draft.isEmpty, most > 0, mayCost(cost(1) - plain) { return 1 }
        return best.count
    }

    /// Whether so many seconds may be lost.
    private func mayCost(_ seconds: Double) -> Bool {
        saved - seconds >= -(Self.lossShare * elapsed + plain)
    }

    // MARK: What was seen

    /// A token of a draft was right or wrong.
    package mutating func observed(_ evidence: Int, isRight: Bool) {
        let count = min(right[evidence].count + 1, 32)
        right[evidence].share += ((isRight ? 1 : 0) - right[evidence].share) / count
        right[evidence].count = count
    }

    /// A token that was evaluated as part of a draft has been chosen.
    package mutating func accepted() { saved = min(saved + plain, 16 * plain) }

    /// A block was evaluated.
    /// - Parameters:
    ///   - draft: how many tokens it had beside the one chosen.
    ///   - made: how many were made, in `making` seconds.
    package mutating func evaluated(_ draft: Int, seconds: Double, made: Int, making time: Double) {
        elapsed += seconds + time
        saved -= time
        if made > 0 { Self.learn(&making, time / Double(made)) }
        guard draft > 0 else {
            idle += 1
            return Self.learn(&plain, seconds)
        }
        idle = 0
        saved -= seconds - plain
        Self.learn(&blocks[draft - 1], seconds)
    }

    /// A running mean that an interruption of the process does not spoil.
    private static func learn(_ mean: inout Double, _ value: Double) {
        mean = mean == 0 ? value : mean + (min(value, 2 * mean) - mean) / 8
    }
}
