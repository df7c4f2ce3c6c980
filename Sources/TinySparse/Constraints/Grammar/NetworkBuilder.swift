// SPDX-License-Identifier: Apache-2.0

/// Makes the network of a grammar, from the end of each rule to its beginning. What no text matches is left out, so that
/// every way through the network can be completed.
struct NetworkBuilder {
    private var network = TransitionNetwork()
    private var patterns: [Pattern]
    /// The rules of the grammar itself; further ones are parts that occur often.
    private let facts: GrammarFacts
    private var ruleOfSet: [ScalarSet: Int] = [:]
    /// Nodes by what they are: equal ones are one, so that texts are read in fewer ways.
    private var byteNodes: [[TransitionNetwork.Edge]: Int32] = [:]
    private var callNodes: [[Int32]: Int32] = [:]
    private let place: ConstraintError.Place

    /// - Throws: `ConstraintError` for a grammar that cannot be run: no text matches, left recursion, or too large.
    static func network(of grammar: Grammar) throws(ConstraintError) -> TransitionNetwork {
        guard grammar.rules.count <= ConstraintLimits.rules else {
            throw ConstraintError(grammar.rules[0].place, "more than \(ConstraintLimits.rules) rules")
        }
        var builder = NetworkBuilder(grammar, try GrammarFacts(grammar))
        var rule = 0
        // Rules are added on the way.
        while rule < builder.patterns.count {
            let entry = try builder.add(builder.patterns[rule], before: TransitionNetwork.end)
            builder.network.entries.append(entry)
            rule += 1
        }
        builder.network.classifyBytes()
        return builder.network
    }

    private init(_ grammar: Grammar, _ facts: GrammarFacts) {
        self.facts = facts
        place = grammar.rules[0].place
        // A rule that nothing matches is never called.
        patterns = grammar.rules.enumerated().map { facts.matchesSome[$0.offset] ? $0.element.pattern : .empty }
    }

    private mutating func append(_ node: TransitionNetwork.Node) throws(ConstraintError) -> Int32 {
        guard network.nodes.count + network.edges.count < ConstraintLimits.nodes else {
            throw ConstraintError(
                place, "too large: more than \(ConstraintLimits.nodes) nodes; use smaller bounds of repetitions")
        }
        network.nodes.append(node)
        return Int32(network.nodes.count - 1)
    }

    /// - Returns: The node at which a pattern begins that goes on at `next`.
    private mutating func add(_ pattern: Pattern, before next: Int32) throws(ConstraintError) -> Int32 {
        switch pattern {
        case .bytes(let bytes):
            var entry = next
            for byte in bytes.reversed() { entry = try addEdges([(byte...byte, entry)]) }
            return entry
        case .scalar(let set): return try add(set, before: next)
        case .sequence(let parts):
            var entry = next
            for part in parts.reversed() { entry = try add(part, before: entry) }
            return entry
        case .alternatives(let parts):
            var entries: [Int32] = []
            for part in parts where facts.matchesSome(part) { entries.append(try add(part, before: next)) }
            return try addSplit(entries)
        case .repeated(let part, let minimum, let maximum):
            guard facts.matchesSome(part) else { return next }
            return try addRepetition(part, minimum, maximum, before: next)
        case .rule(let rule): return try addCall(rule, before: next)
        }
    }

    private mutating func addEdges(_ edges: [(ClosedRange<UInt8>, Int32)]) throws(ConstraintError) -> Int32 {
        let edges = edges.map {
            TransitionNetwork.Edge(low: $0.0.lowerBound, high: $0.0.upperBound, target: $0.1)
        }
        if let known = byteNodes[edges] { return known }
        let first = Int32(network.edges.count)
        network.edges += edges
        let node = try append(.bytes(first..<Int32(network.edges.count)))
        byteNodes[edges] = node
        return node
    }

    private mutating func addCall(_ rule: Int, before next: Int32) throws(ConstraintError) -> Int32 {
        let key = [Int32(rule), next]
        if let known = callNodes[key] { return known }
        let node = try append(.call(rule: Int32(rule), next: next))
        callNodes[key] = node
        return node
    }

    private mutating func addSplit(_ entries: [Int32]) throws(ConstraintError) -> Int32 {
        guard entries.count != 1 else { return entries[0] }
        let first = Int32(network.targets.count)
        network.targets += entries
        return try append(.split(first..<Int32(network.targets.count)))
    }

    /// A loop, or as many copies as needed; of a part with more than one node, copies are calls of one rule.
    private mutating func addRepetition(
        _ part: Pattern, _ minimum: Int, _ maximum: Int?, before next: Int32
    ) throws(ConstraintError) -> Int32 {
        let copies = maximum ?? minimum + 1
        let part = copies > 1 && !isOneNode(part) ? .rule(addRule(part)) : part
        var entry = next
        if let maximum {
            for _ in minimum..<max(maximum, minimum) { entry = try addSplit([try add(part, before: entry), next]) }
        } else {
            // The loop's own number is needed before its targets are known.
            let targets = Int32(network.targets.count)
            network.targets += [next, next]
            entry = try append(.split(targets..<targets + 2))
            network.targets[Int(targets)] = try add(part, before: entry)
        }
        for _ in 0..<minimum { entry = try add(part, before: entry) }
        return entry
    }

    private func isOneNode(_ pattern: Pattern) -> Bool {
        switch pattern {
        case .bytes(let bytes): bytes.count == 1
        case .scalar, .rule: true
        case .sequence, .alternatives, .repeated: false
        }
    }

    private mutating func addRule(_ pattern: Pattern) -> Int {
        patterns.append(pattern)
        return patterns.count - 1
    }

    // MARK: - Characters

    /// Sets of ASCII characters are one node; each other set is a rule of its own, because it may occur often.
    private mutating func add(_ set: ScalarSet, before next: Int32) throws(ConstraintError) -> Int32 {
        let sequences = set.utf8
        if sequences.allSatisfy({ $0.count == 1 }) {
            return try addEdges(sequences.map { ($0[0], next) })
        }
        // A rule whose pattern is the set is where the nodes are; all other places call it.
        if let rule = ruleOfSet[set] {
            if rule != network.entries.count || next != TransitionNetwork.end {
                return try addCall(rule, before: next)
            }
        } else {
            ruleOfSet[set] = addRule(.scalar(set))
            return try add(set, before: next)
        }
        var known: [[ByteRanges]: Int32] = [:]
        return try add(sequences[...], before: next, &known)
    }

    /// A tree of bytes, whose equal branches are one.
    private mutating func add(
        _ sequences: ArraySlice<ByteRanges>, before next: Int32, _ known: inout [[ByteRanges]: Int32]
    ) throws(ConstraintError) -> Int32 {
        var edges: [(ClosedRange<UInt8>, Int32)] = []
        var rest = sequences
        while let lead = rest.first?.first {
            let branch = rest.prefix { $0.first == lead }
            rest = rest.dropFirst(branch.count)
            let tails = branch.map { Array($0.dropFirst()) }
            if tails == [[]] {
                edges.append((lead, next))
            } else if let node = known[tails] {
                edges.append((lead, node))
            } else {
                let node = try add(tails[...], before: next, &known)
                known[tails] = node
                edges.append((lead, node))
            }
        }
        return try addEdges(edges)
    }
}
