// SPDX-License-Identifier: Apache-2.0

/// What a session that speculates knows: a source of drafts, how well they did, and which tokens it expects.
final class Speculator {
    private let source: any DraftSource
    private var planner: DraftPlanner
    private let longest: Int
    /// What comes next if the draft is right; the planner decides how much of it is evaluated.
    private var expected: ArraySlice<DraftToken> = []
    private(set) var activity = SpeculationActivity()
    /// What making the last draft took.
    private var made = 0, making = 0.0
    /// Tokens of the text at the last step, and whether more have come since the last draft than were generated: a prompt,
    /// which a source may take time to read that it needs once and not for every draft.
    private var known = 0, hasNewPrompt = true
    /// Evaluates so many tokens of every draft, whatever it costs: for tests.
    var fixedLength: Int?

    /// - Parameter longest: most tokens of a draft.
    init(_ source: any DraftSource, longest: Int) {
        self.source = source
        self.longest = longest
        planner = DraftPlanner(longest: longest, expectations: source.expectations)
    }

    /// A token was chosen.
    func chose(_ token: Int32) {
        guard let next = expected.first else { return }
        let isRight = next.id == token
        planner.observed(next.evidence, isRight: isRight)
        expected = isRight ? expected.dropFirst() : []
    }

    /// A token whose logits a draft had computed was chosen.
    func accepted() {
        activity.accepted += 1
        planner.accepted()
    }

    /// The draft to evaluate after `tokens` and `last`, at most `most` tokens.
    func draft(_ tokens: [Int32], _ last: Int32, most: Int, _ sampler: Sampler) -> [Int32] {
        let most = min(most, longest)
        var start = Stopwatch.now
        hasNewPrompt = hasNewPrompt || tokens.count > known + longest + 1
        known = tokens.count
        var draft: [DraftToken] = []
        func goesOn() -> Bool {
            draft.count < (fixedLength ?? most) && draft.count < most
                && (fixedLength != nil || source.isFree || planner.goesOn(draft))
        }
        if goesOn() {
            source.begin(tokens, last, sampler)
            if hasNewPrompt { start = Stopwatch.now }
            hasNewPrompt = false
        }
        while goesOn(), let token = source.next() { draft.append(token) }
        expected = draft[...]
        let count = fixedLength == nil ? planner.length(of: draft) : draft.count
        (made, making) = (draft.count, Double(Stopwatch.now - start) * 1e-9)
        return draft.prefix(count).map { $0.id }
    }

    /// A token was evaluated with a draft of `count` tokens.
    func evaluated(_ count: Int, seconds: Double) {
        activity.drafted += count
        planner.evaluated(count, seconds: seconds, made: made, making: making)
    }
}
