// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What holds for each rule of a grammar.
struct GrammarFacts {
    /// Whether the empty text can match.
    private(set) var canBeEmpty: [Bool]
    /// Whether any text matches: a rule that needs itself has none.
    private(set) var matchesSome: [Bool]

    /// - Complexity: O(size of the grammar) for each change of direction in a chain of rules; mostly a few passes.
    /// - Throws: `ConstraintError` for a grammar that no text matches or that is left-recursive.
    init(_ grammar: Grammar) throws(ConstraintError) {
        canBeEmpty = Array(repeating: false, count: grammar.rules.count)
        matchesSome = canBeEmpty
        var passes = 0
        while learn(grammar, backward: passes % 2 == 0) {
            passes += 1
            guard passes < ConstraintLimits.passes else {
                throw ConstraintError(grammar.rules[0].place, "too long chains of rules that refer to one another")
            }
        }
        guard matchesSome[0] else {
            throw ConstraintError(grammar.rules[0].place, "no text can match: what is required never ends")
        }
        try refuseLeftRecursion(grammar)
    }

    /// One pass over the rules, from the last one, because rules mostly refer to later ones, or from the first one.
    /// - Returns: whether there was anything new.
    private mutating func learn(_ grammar: Grammar, backward: Bool) -> Bool {
        var isNew = false
        for place in grammar.rules.indices {
            let i = backward ? grammar.rules.count - 1 - place : place
            let pattern = grammar.rules[i].pattern
            if !canBeEmpty[i], canBeEmpty(pattern) { (canBeEmpty[i], isNew) = (true, true) }
            if !matchesSome[i], matchesSome(pattern) { (matchesSome[i], isNew) = (true, true) }
        }
        return isNew
    }

    func canBeEmpty(_ pattern: Pattern) -> Bool {
        switch pattern {
        case .bytes(let bytes): bytes.isEmpty
        case .scalar: false
        case .sequence(let parts): parts.allSatisfy { canBeEmpty($0) }
        case .alternatives(let parts): parts.contains { canBeEmpty($0) }
        case .repeated(let part, let minimum, _): minimum == 0 || canBeEmpty(part)
        case .rule(let rule): canBeEmpty[rule]
        }
    }

    func matchesSome(_ pattern: Pattern) -> Bool {
        switch pattern {
        case .bytes: true
        case .scalar(let set): !set.isEmpty
        case .sequence(let parts): parts.allSatisfy { matchesSome($0) }
        case .alternatives(let parts): parts.contains { matchesSome($0) }
        case .repeated(let part, let minimum, _): minimum == 0 || matchesSome(part)
        case .rule(let rule): matchesSome[rule]
        }
    }

    /// A rule that begins with itself, perhaps after parts that can be empty, would be entered forever.
    private func refuseLeftRecursion(_ grammar: Grammar) throws(ConstraintError) {
        var first: [[Int]] = []
        for rule in grammar.rules {
            var calls: Set<Int> = []
            if matchesSome(rule.pattern) { _ = collectFirst(rule.pattern, &calls) }
            first.append(calls.sorted())
        }
        // A search in depth with a stack of its own, because rules can be chained far. 1: on the way, 2: done.
        var marks = Array(repeating: 0, count: first.count)
        for root in first.indices where marks[root] == 0 {
            var path = [(rule: root, next: 0)]
            marks[root] = 1
            while let (rule, next) = path.last {
                guard next < first[rule].count else {
                    marks[rule] = 2
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let called = first[rule][next]
                guard marks[called] != 1 else { throw Self.leftRecursion(grammar.rules[called]) }
                if marks[called] == 0 {
                    marks[called] = 1
                    path.append((called, 0))
                }
            }
        }
    }

    private static func leftRecursion(_ rule: Grammar.Rule) -> ConstraintError {
        ConstraintError(
            rule.place,
            "\(printable(rule.name)) is left-recursive: it begins with itself; write it with a repetition, or with itself at "
                + "the end")
    }

    /// Collects the rules with which a pattern can begin.
    /// - Returns: whether what follows the pattern can begin, too.
    private func collectFirst(_ pattern: Pattern, _ calls: inout Set<Int>) -> Bool {
        switch pattern {
        case .bytes, .scalar: break
        case .sequence(let parts):
            for part in parts where !collectFirst(part, &calls) { return false }
        case .alternatives(let parts):
            for part in parts where matchesSome(part) { _ = collectFirst(part, &calls) }
        case .repeated(let part, _, let maximum):
            if maximum != 0, matchesSome(part) { _ = collectFirst(part, &calls) }
        case .rule(let rule): calls.insert(rule)
        }
        return canBeEmpty(pattern)
    }
}
