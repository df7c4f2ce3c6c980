// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reads a grammar in llama.cpp's format.
///
/// Source: llama.cpp, grammars/README.md; what that leaves open follows src/llama-grammar.cpp.
struct GBNFParser {
    private var scanner: SourceScanner
    private var grammar = Grammar()
    private var numbers: [String: Int] = [:]
    private var isDefined: [Bool] = []

    /// - Returns: The rules; the first is `root`.
    /// - Throws: `ConstraintError` with the line and column of what is not understood.
    static func grammar(_ source: String) throws(ConstraintError) -> Grammar {
        var parser = GBNFParser(scanner: SourceScanner(source))
        _ = parser.number(of: "root", at: 0)
        parser.skipSpace(andLines: true)
        while parser.scanner.peek != nil { try parser.rule() }
        guard parser.isDefined[0] else {
            throw ConstraintError(.everywhere, "there is no rule 'root', with which a text begins: root ::= ...")
        }
        if let undefined = parser.isDefined.firstIndex(of: false) {
            let rule = parser.grammar.rules[undefined]
            throw ConstraintError(rule.place, "rule '\(printable(rule.name))' is not defined")
        }
        return parser.grammar
    }

    private init(scanner: SourceScanner) { self.scanner = scanner }

    /// The number of a rule, which may be defined later.
    private mutating func number(of name: String, at position: Int) -> Int {
        if let known = numbers[name] { return known }
        grammar.rules.append(.init(name: name, place: scanner.place(of: position), pattern: .empty))
        isDefined.append(false)
        numbers[name] = grammar.rules.count - 1
        return grammar.rules.count - 1
    }

    // MARK: - Structure

    /// `name ::= alternatives`, to the end of the line.
    private mutating func rule() throws(ConstraintError) {
        let start = scanner.position
        let name = self.name()
        guard !name.isEmpty else { throw scanner.error("the name of a rule is needed, not \(scanner.found)") }
        skipSpace(andLines: false)
        guard scanner.skip("::=") else { throw scanner.error("'::=' is needed after the name of a rule") }
        skipSpace(andLines: true)
        let number = number(of: name, at: start)
        guard !isDefined[number] else { throw scanner.error("rule '\(printable(name))' is defined twice", at: start) }
        isDefined[number] = true
        grammar.rules[number].place = scanner.place(of: start)
        grammar.rules[number].pattern = try alternatives(isNested: false)
        guard scanner.peek.map({ $0 == "\n" || $0 == "\r" }) ?? true else {
            throw scanner.error("the end of the rule is needed, not \(scanner.found)")
        }
        skipSpace(andLines: true)
    }

    private mutating func name() -> String {
        scanner.take { "a"..."z" ~= $0 || "A"..."Z" ~= $0 || "0"..."9" ~= $0 || $0 == "-" || $0 == "_" }
    }

    /// Spaces and comments; in groups, lines, too.
    private mutating func skipSpace(andLines: Bool) {
        while let scalar = scanner.peek {
            switch scalar {
            case " ", "\t": _ = scanner.next()
            case "#": _ = scanner.take { $0 != "\n" && $0 != "\r" }
            case "\n" where andLines, "\r" where andLines: _ = scanner.next()
            default: return
            }
        }
    }

    private mutating func alternatives(isNested: Bool) throws(ConstraintError) -> Pattern {
        var parts = [try sequence(isNested: isNested)]
        while scanner.skip("|") {
            skipSpace(andLines: true)
            parts.append(try sequence(isNested: isNested))
        }
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence(isNested: Bool) throws(ConstraintError) -> Pattern {
        var parts: [Pattern] = []
        while let part = try element() {
            skipSpace(andLines: isNested)
            parts.append(try repeated(part, isNested: isNested))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    /// What comes next, without repetitions; nil at the end of a sequence.
    private mutating func element() throws(ConstraintError) -> Pattern? {
        let start = scanner.position
        switch scanner.peek {
        case "\"":
            _ = scanner.next()
            return .text(try literal(from: start))
        case "[":
            _ = scanner.next()
            return .scalar(try set(from: start))
        case ".":
            _ = scanner.next()
            return .scalar(.all)
        case "(":
            _ = scanner.next()
            try scanner.enter()
            skipSpace(andLines: true)
            let group = try alternatives(isNested: true)
            guard scanner.skip(")") else { throw scanner.error("')' is needed for the '(' here", at: start) }
            scanner.leave()
            return group
        case "<", "!":
            throw scanner.error(
                "tokens (<...>) are not supported: a grammar is about text; write the text of the token")
        default:
            let name = self.name()
            return name.isEmpty ? nil : .rule(number(of: name, at: start))
        }
    }

    private mutating func repeated(_ part: Pattern, isNested: Bool) throws(ConstraintError) -> Pattern {
        var part = part
        var levels = 0
        while let (minimum, maximum) = try bounds() {
            skipSpace(andLines: isNested)
            part = .repeated(part, minimum: minimum, maximum: maximum)
            levels += 1
            if levels > 4 { throw scanner.error("too many repetitions of repetitions") }
        }
        return part
    }

    private mutating func bounds() throws(ConstraintError) -> (minimum: Int, maximum: Int?)? {
        if let bounds = scanner.shortBounds() { return bounds }
        let start = scanner.position
        guard scanner.skip("{") else { return nil }
        skipSpace(andLines: true)
        let minimum = try scanner.number()
        skipSpace(andLines: true)
        var maximum = minimum
        if scanner.skip(",") {
            skipSpace(andLines: true)
            maximum = try scanner.number()
            skipSpace(andLines: true)
        }
        guard scanner.skip("}"), minimum != nil || maximum != nil, minimum ?? 0 <= maximum ?? .max else {
            throw scanner.error("a repetition is {m}, {m,}, {m,n} or {,n}, with m at most n", at: start)
        }
        return (minimum ?? 0, maximum)
    }

    // MARK: - Characters

    /// After the opening quote.
    private mutating func literal(from start: Int) throws(ConstraintError) -> String {
        var text = String.UnicodeScalarView()
        while !scanner.skip("\"") {
            guard let code = try character(), let scalar = Unicode.Scalar(code) else {
                throw scanner.error("the '\"' here has no second one", at: start)
            }
            text.append(scalar)
        }
        return String(text)
    }

    /// After the opening bracket.
    private mutating func set(from start: Int) throws(ConstraintError) -> ScalarSet {
        let isInverted = scanner.skip("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !scanner.skip("]") {
            let place = scanner.position
            guard let low = try character() else { throw scanner.error("']' is needed for the '[' here", at: start) }
            var high = low
            let hyphen = scanner.position
            if scanner.skip("-") {
                // A hyphen before the bracket means itself.
                if scanner.peek == "]" { scanner.back(to: hyphen) } else { high = try character() ?? low }
            }
            guard low <= high else {
                throw scanner.error("the range is empty: its end is before its beginning", at: place)
            }
            ranges.append(low...high)
        }
        let set = ScalarSet(ranges)
        return isInverted ? set.inverted : set
    }

    /// The code of a character, or of its escape; nil at the end.
    private mutating func character() throws(ConstraintError) -> UInt32? {
        guard let scalar = scanner.next() else { return nil }
        guard scalar == "\\" else { return scalar.value }
        let place = scanner.position - 1
        switch scanner.next() {
        case "x": return try scanner.hexadecimal(2)
        case "u": return try scanner.hexadecimal(4)
        case "U": return try scanner.hexadecimal(8)
        case "t": return 0x09
        case "r": return 0x0D
        case "n": return 0x0A
        case let other? where "\\\"[]-".unicodeScalars.contains(other): return other.value
        default:
            throw scanner.error("an unknown escape; known are \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\] \\-", at: place)
        }
    }
}
