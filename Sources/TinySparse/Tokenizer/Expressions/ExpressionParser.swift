// SPDX-License-Identifier: Apache-2.0

/// Reads a regular expression.
///
/// Source: the syntax of Oniguruma (doc/RE), which the Hugging Face tokenizers library uses, as far as it can be matched in
/// linear time without memory of what was matched: no back references, no atomic groups but possessive sets.
struct ExpressionParser {
    /// Whose reading of an expression counts.
    enum Dialect {
        /// The Hugging Face tokenizers library.
        case oniguruma
        /// llama.cpp: `\d` is ASCII only, `$` is the end of the text, and ranges beyond ASCII hold no white space.
        case llamaCpp
    }

    static let maximumDepth = 50
    static let maximumCount = 2000

    let dialect: Dialect
    private let source: [Unicode.Scalar]
    private var position = 0
    private var ignoresCase = false
    private var depth = 0

    private init(_ source: String, _ dialect: Dialect) {
        self.source = Array(source.unicodeScalars)
        self.dialect = dialect
    }

    /// - Throws: `ExpressionError` naming what is not understood.
    static func parse(_ source: String, _ dialect: Dialect) throws(ExpressionError) -> ExpressionNode {
        var parser = ExpressionParser(source, dialect)
        let node = try parser.alternatives()
        if parser.peek != nil { throw ExpressionError("a ')' too many") }
        return node
    }

    // MARK: - Characters

    var peek: Unicode.Scalar? { position < source.count ? source[position] : nil }

    mutating func next() -> Unicode.Scalar? {
        guard let scalar = peek else { return nil }
        position += 1
        return scalar
    }

    /// Passes over a text if it comes next.
    mutating func skip(_ text: String) -> Bool {
        var end = position
        for scalar in text.unicodeScalars {
            guard end < source.count, source[end] == scalar else { return false }
            end += 1
        }
        position = end
        return true
    }

    /// Runs `body` one level deeper.
    mutating func nested<T>(
        _ body: (inout ExpressionParser) throws(ExpressionError) -> T
    ) throws(ExpressionError) -> T {
        guard depth < Self.maximumDepth else { throw ExpressionError("groups nested too deep") }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    // MARK: - Structure

    private mutating func alternatives() throws(ExpressionError) -> ExpressionNode {
        let outerCase = ignoresCase
        defer { ignoresCase = outerCase }
        var parts = [try sequence()]
        while skip("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence() throws(ExpressionError) -> ExpressionNode {
        var parts: [ExpressionNode] = []
        while let scalar = peek, scalar != "|", scalar != ")" {
            let start = position
            let part = try atom()
            if ignoresCase { try refuseFolding(from: start) }
            parts.append(try quantified(part))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    /// Two letters that are equal to one character when case does not count, as "ss" and U+00DF.
    private func refuseFolding(from start: Int) throws(ExpressionError) {
        guard start + 1 < source.count else { return }
        let pair = String(String.UnicodeScalarView(source[start...start + 1])).lowercased()
        guard ["ss", "st", "ff", "fi", "fl"].contains(pair) else { return }
        throw ExpressionError("'\(pair)' without regard to case")
    }

    private mutating func atom() throws(ExpressionError) -> ExpressionNode {
        guard let scalar = next() else { return .sequence([]) }
        switch scalar {
        case "(": return try nested { (parser) throws(ExpressionError) in try parser.group() }
        case "[": return .set(try nested { (parser) throws(ExpressionError) in try parser.bracket() })
        case ".": return .set(CodePointSet(0x0A).inverted)
        case "^": return .behind(dialect == .oniguruma ? CodePointSet(0x0A) : .none, countsStart: true)
        case "$":
            guard dialect == .oniguruma else { return .textEnd }
            return .ahead(.set(CodePointSet(0x0A).inverted), isPositive: false)
        case "*", "+", "?": throw ExpressionError("nothing before '\(scalar)'")
        case "\\": return try escape()
        default: return .set(try folded(scalar.value...scalar.value))
        }
    }

    private mutating func group() throws(ExpressionError) -> ExpressionNode {
        let node: ExpressionNode
        if skip("?=") || skip("?!") {
            let isPositive = source[position - 1] == "="
            node = .ahead(try alternatives(), isPositive: isPositive)
        } else if skip("?<=") || skip("?<!") {
            let isPositive = source[position - 1] == "="
            guard let set = try alternatives().singleSet else {
                throw ExpressionError("looking behind for more than one character")
            }
            node = .behind(isPositive ? set : set.inverted, countsStart: !isPositive)
        } else if skip("?") {
            guard let group = try options() else { return .sequence([]) }
            node = group
        } else {
            node = try alternatives()
        }
        guard skip(")") else { throw ExpressionError("a ')' is missing") }
        return node
    }

    /// `(?:...)`, `(?i:...)`, `(?-i:...)`, or `(?i)`, which holds to the end of the group around it: nil.
    private mutating func options() throws(ExpressionError) -> ExpressionNode? {
        var ignores = ignoresCase
        var isOn = true
        while let scalar = next() {
            switch scalar {
            case "-": isOn = false
            case "i": ignores = isOn
            case ")":
                ignoresCase = ignores
                return nil
            case ":":
                let outer = ignoresCase
                ignoresCase = ignores
                defer { ignoresCase = outer }
                return try alternatives()
            default: throw ExpressionError("the group '(?\(scalar)'")
            }
        }
        throw ExpressionError("a ')' is missing")
    }

    // MARK: - Quantifiers

    private mutating func quantified(_ node: ExpressionNode) throws(ExpressionError) -> ExpressionNode {
        var node = node
        var levels = 0
        while let (minimum, maximum, isInterval) = try quantifier() {
            levels += 1
            guard levels <= 3 else { throw ExpressionError("too many quantifiers in a row") }
            if peek == "+", isInterval, dialect == .llamaCpp { throw ExpressionError("a '+' after '}'") }
            if peek == "?", isInterval, minimum == maximum { throw ExpressionError("a '?' after '{\(minimum)}'") }
            if !isInterval, skip("+") {
                guard let set = node.singleSet else { throw ExpressionError("a possessive group") }
                node = .possessive(set, minimum: minimum, maximum: maximum)
            } else {
                let isLazy = skip("?")
                node = .repeated(node, minimum: minimum, maximum: maximum, isLazy: isLazy)
            }
        }
        return node
    }

    private mutating func quantifier() throws(ExpressionError) -> (minimum: Int, maximum: Int?, isInterval: Bool)? {
        if skip("*") { return (0, nil, false) }
        if skip("+") { return (1, nil, false) }
        if skip("?") { return (0, 1, false) }
        let start = position
        guard skip("{") else { return nil }
        let minimum = number()
        let hasComma = skip(",")
        let maximum = hasComma ? number() : minimum
        guard skip("}"), minimum != nil || maximum != nil else {
            // Then the brace means itself.
            position = start
            return nil
        }
        guard minimum ?? 0 <= Self.maximumCount, maximum ?? 0 <= Self.maximumCount,
            minimum ?? 0 <= maximum ?? Self.maximumCount
        else { throw ExpressionError("a repetition of more than \(Self.maximumCount) times, or upside down") }
        return (minimum ?? 0, maximum, true)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let scalar = peek, "0"..."9" ~= scalar, value ?? 0 <= Self.maximumCount {
            value = (value ?? 0) * 10 + Int(scalar.value - 0x30)
            position += 1
        }
        return value
    }

    // MARK: - Case

    /// The set of a range, with the characters that differ from those in it in case only if case does not count.
    func folded(_ range: ClosedRange<UInt32>) throws(ExpressionError) -> CodePointSet {
        var set = CodePointSet(range)
        guard ignoresCase else { return set }
        guard range.upperBound < 0x80 else { throw ExpressionError("characters beyond ASCII without regard to case") }
        for letter in UInt32(0x41)...0x5A where range.contains(letter) || range.contains(letter | 0x20) {
            set = set.union(CodePointSet(letter)).union(CodePointSet(letter | 0x20))
            // The long s and the sign for kelvin.
            if letter == 0x53 { set = set.union(CodePointSet(0x17F)) }
            if letter == 0x4B { set = set.union(CodePointSet(0x212A)) }
        }
        return set
    }

    /// A set that is named, which must not distinguish letters by case if case does not count.
    func folded(named set: CodePointSet) throws(ExpressionError) -> CodePointSet {
        let cased: UInt32 = 7
        guard !ignoresCase || set.masks.allSatisfy({ $0 & cased == 0 || $0 & cased == cased }) else {
            throw ExpressionError("letters of one case without regard to case")
        }
        return set
    }
}
