// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reads a regular expression as a pattern.
///
/// Source: ECMA-262, 22.2.1, with the flag u, as JSON Schema wants it; of that, what a pattern can say: no looking around, no
/// references to groups, anchors only at the ends. It differs from the expressions of tokenizers in too much (sets, escapes,
/// classes beyond ASCII, quantifiers) to share their parser.
struct RegexParser {
    var scanner: SourceScanner

    /// One of the alternatives outside of all groups.
    private struct Alternative {
        var pattern: Pattern
        var isAtStart: Bool
        var isAtEnd: Bool
    }

    /// A text that matches as a whole, whether or not the expression is anchored.
    /// - Throws: `ConstraintError` with the line and column of what is not understood.
    static func wholeText(_ source: String) throws(ConstraintError) -> Pattern {
        .alternatives(try parse(source).map { $0.pattern })
    }

    /// A text in which a match can be found.
    /// - Parameter any: what a text may be beside the match: any character.
    /// - Throws: `ConstraintError` with the line and column of what is not understood.
    static func textWithMatch(_ source: String, any: Pattern) throws(ConstraintError) -> Pattern {
        let padding = [Pattern.repeated(any, minimum: 0, maximum: nil)]
        return .alternatives(
            try parse(source).map {
                .sequence(($0.isAtStart ? [] : padding) + [$0.pattern] + ($0.isAtEnd ? [] : padding))
            })
    }

    private static func parse(_ source: String) throws(ConstraintError) -> [Alternative] {
        var parser = RegexParser(scanner: SourceScanner(source))
        var alternatives: [Alternative] = []
        repeat {
            let isAtStart = parser.scanner.skip("^")
            let pattern = try parser.sequence()
            let end = parser.scanner.position
            let isAtEnd = parser.scanner.skip("$")
            // What follows a '$' is an error of the '$'.
            if isAtEnd, let next = parser.scanner.peek, next != "|" { parser.scanner.back(to: end) }
            alternatives.append(Alternative(pattern: pattern, isAtStart: isAtStart, isAtEnd: isAtEnd))
        } while parser.scanner.skip("|")
        guard parser.scanner.peek == nil else { throw parser.misplaced() }
        return alternatives
    }

    private func misplaced() -> ConstraintError {
        switch scanner.peek {
        case "^", "$":
            scanner.error(
                "'^' and '$' are supported only at the ends of an expression, or of an alternative outside of groups")
        case ")": scanner.error("a ')' without a '('; a character ')' is written \\)")
        default: scanner.error("\(scanner.found) is not expected here")
        }
    }

    // MARK: - Structure

    private mutating func alternatives() throws(ConstraintError) -> Pattern {
        var parts = [try sequence()]
        while scanner.skip("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence() throws(ConstraintError) -> Pattern {
        var parts: [Pattern] = []
        while let part = try atom() { parts.append(try repeated(part)) }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    /// What comes next, without quantifiers; nil at the end of a sequence.
    private mutating func atom() throws(ConstraintError) -> Pattern? {
        switch scanner.peek {
        case nil, "|", ")", "^", "$": return nil
        case "(": return try group()
        case "[": return .scalar(try set())
        case ".":
            _ = scanner.next()
            return .scalar(.lineBreaks.inverted)
        case "*", "+", "?": throw scanner.error("nothing before \(scanner.found) that it could repeat")
        case "{": throw scanner.error("nothing before '{' that it could repeat; a character '{' is written \\{")
        case "\\": return .scalar(try escape(inSet: false).set)
        case let scalar?:
            _ = scanner.next()
            return .scalar(ScalarSet(scalar.value))
        }
    }

    private mutating func group() throws(ConstraintError) -> Pattern {
        let start = scanner.position
        _ = scanner.next()
        try scanner.enter()
        if scanner.skip("?"), !scanner.skip(":") {
            let isNamed = scanner.skip("<") && scanner.peek != "=" && scanner.peek != "!"
            guard isNamed, !scanner.take(while: { $0 != ">" && $0 != ")" }).isEmpty, scanner.skip(">") else {
                throw scanner.error(
                    "groups that look around and options are not supported, only (...), (?:...) and (?<name>...)",
                    at: start)
            }
        }
        let pattern = try alternatives()
        if scanner.peek == "^" || scanner.peek == "$" { throw misplaced() }
        guard scanner.skip(")") else { throw scanner.error("the '(' here has no ')'", at: start) }
        scanner.leave()
        return pattern
    }

    // MARK: - Quantifiers

    private mutating func repeated(_ part: Pattern) throws(ConstraintError) -> Pattern {
        guard let (minimum, maximum) = try bounds() else { return part }
        // Whether a match is the shortest or the longest makes no difference to what can match.
        _ = scanner.skip("?")
        guard let following = scanner.peek, "*+?{".unicodeScalars.contains(following) else {
            return .repeated(part, minimum: minimum, maximum: maximum)
        }
        throw scanner.error("two quantifiers in a row; possessive ones are not supported, and others need a group")
    }

    private mutating func bounds() throws(ConstraintError) -> (minimum: Int, maximum: Int?)? {
        if let bounds = scanner.shortBounds() { return bounds }
        let start = scanner.position
        guard scanner.skip("{") else { return nil }
        let minimum = try scanner.number()
        let maximum = scanner.skip(",") ? try scanner.number() : minimum
        guard let minimum, scanner.skip("}"), minimum <= maximum ?? .max else {
            throw scanner.error(
                "a repetition is {m}, {m,} or {m,n}, with m at most n; a character '{' is written \\{", at: start)
        }
        return (minimum, maximum)
    }

    // MARK: - Sets

    private mutating func set() throws(ConstraintError) -> ScalarSet {
        let start = scanner.position
        _ = scanner.next()
        let isInverted = scanner.skip("^")
        var set = ScalarSet.none
        guard scanner.peek != "]" else {
            throw scanner.error("an empty set; a character ']' is written \\]", at: start)
        }
        while !scanner.skip("]") {
            let place = scanner.position
            let (first, low) = try member(of: start)
            let hyphen = scanner.position
            guard scanner.skip("-"), scanner.peek != "]" else {
                scanner.back(to: hyphen)
                set = set.union(first)
                if scanner.skip("-") { set = set.union(ScalarSet(0x2D)) }
                continue
            }
            guard let low, let high = try member(of: start).code, low <= high else {
                throw scanner.error("a range goes from a character to a later one", at: place)
            }
            set = set.union(ScalarSet([low...high]))
        }
        return isInverted ? set.inverted : set
    }

    /// A character of a set, or a class.
    private mutating func member(of start: Int) throws(ConstraintError) -> (set: ScalarSet, code: UInt32?) {
        if scanner.peek == "\\" { return try escape(inSet: true) }
        guard let scalar = scanner.next() else { throw scanner.error("the '[' here has no ']'", at: start) }
        return (ScalarSet(scalar.value), scalar.value)
    }
}
