// SPDX-License-Identifier: Apache-2.0

/// Follows a text token by token, and says which tokens may come next. Belongs to one thread at a time.
package final class ConstraintMatcher {
    private let automaton: PushdownAutomaton
    private let vocabulary: TokenBytes
    private let allowsEnd: Bool
    private var state: PushdownAutomaton.State
    /// The tokens allowed in states for which somebody asked.
    private var lists: [PushdownAutomaton.State: [Int32]] = [:]
    private var listed = 0

    /// - Parameter allowsEnd: whether tokens that end a text are allowed where it can end.
    /// - Throws: `ConstraintError` for a grammar that is too ambiguous at its beginning.
    package init(_ constraint: Constraint, _ vocabulary: TokenBytes, allowsEnd: Bool) throws(ConstraintError) {
        automaton = PushdownAutomaton(constraint.network)
        self.vocabulary = vocabulary
        self.allowsEnd = allowsEnd
        state = try automaton.start()
    }

    /// Whether the text is complete.
    package var accepts: Bool { automaton.accepts(state) }
    /// Whether the text is complete and nothing can follow.
    package var isAtEnd: Bool { accepts && !automaton.goesOn(state) }

    /// Whether a token may come next. O(its bytes).
    /// - Throws: `ConstraintError` for a grammar that is too ambiguous.
    package func allows(_ id: Int32) throws(ConstraintError) -> Bool {
        if vocabulary.ends.contains(id) { return allowsEnd && accepts }
        let text = vocabulary.text(id)
        guard !text.isEmpty else { return false }
        return try after(text) != PushdownAutomaton.dead
    }

    private func after(_ text: ArraySlice<UInt8>) throws(ConstraintError) -> PushdownAutomaton.State {
        var state = state
        for byte in text {
            state = try automaton.next(state, byte)
            if state == PushdownAutomaton.dead { break }
        }
        return state
    }

    /// Whether `allowed` is known without computing it.
    package var knowsAllowed: Bool { lists[state] != nil }

    /// The tokens that may come next, ascending.
    /// - Complexity: O(nodes of the vocabulary that the state does not rule out), the first time in a state.
    /// - Throws: `ConstraintError` for a grammar that is too ambiguous.
    package func allowed() throws(ConstraintError) -> [Int32] {
        if let known = lists[state] { return known }
        var allowed = try textTokens()
        allowed.removeAll { vocabulary.ends.contains($0) }
        if allowsEnd, accepts { allowed += vocabulary.ends }
        allowed.sort()
        listed += allowed.count
        if listed > ConstraintLimits.keptTokens {
            lists = [:]
            listed = allowed.count
        }
        lists[state] = allowed
        return allowed
    }

    /// The tokens whose text may come next.
    private func textTokens() throws(ConstraintError) -> [Int32] {
        var tokens: [Int32] = []
        /// The states on the way to a node.
        var path = [state]
        var node = 0
        while node < vocabulary.nodes.count {
            let (depth, byte) = (Int(vocabulary.nodes[node].depth), vocabulary.nodes[node].byte)
            path.removeSubrange(depth...)
            let next = try automaton.next(path[depth - 1], byte)
            if next == PushdownAutomaton.dead {
                node = Int(vocabulary.nodes[node].end)
                continue
            }
            path.append(next)
            tokens += vocabulary.tokens(at: node)
            node += 1
        }
        return tokens
    }

    /// Goes on after a token that is allowed and does not end the text.
    /// - Throws: `ConstraintError` for a grammar that is too ambiguous.
    package func advance(_ id: Int32) throws(ConstraintError) {
        state = try after(vocabulary.text(id))
        guard automaton.isFull else { return }
        state = try automaton.forget(allBut: state)
        lists = [:]
        listed = 0
    }
}
