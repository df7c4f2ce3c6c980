// SPDX-License-Identifier: Apache-2.0

// Escapes and sets in brackets.

extension ExpressionParser {
    /// What follows a backslash outside brackets.
    mutating func escape() throws(ExpressionError) -> ExpressionNode {
        switch peek {
        case "b", "B":
            let isBoundary = next() == "b"
            guard dialect == .oniguruma else { throw ExpressionError("the escape '\\b'") }
            let boundary = ExpressionNode.boundary(of: .word)
            return isBoundary ? boundary : .ahead(boundary, isPositive: false)
        case "A":
            _ = next()
            return .behind(.none, countsStart: true)
        case "z":
            _ = next()
            return .textEnd
        case "Z":
            _ = next()
            let newline = ExpressionNode.repeated(.set(CodePointSet(0x0A)), minimum: 0, maximum: 1, isLazy: false)
            return .ahead(.sequence([newline, .textEnd]), isPositive: true)
        default:
            let (set, code) = try escapedSet()
            guard let code else { return .set(try folded(named: set)) }
            return .set(try folded(code...code))
        }
    }

    /// What a backslash before a character stands for, and the code point if it is a single one.
    mutating func escapedSet() throws(ExpressionError) -> (set: CodePointSet, code: UInt32?) {
        guard let scalar = next() else { throw ExpressionError("a '\\' at the end") }
        func single(_ code: UInt32) -> (set: CodePointSet, code: UInt32?) { (CodePointSet(code), code) }
        switch scalar {
        case "n": return single(0x0A)
        case "r": return single(0x0D)
        case "t": return single(0x09)
        case "f": return single(0x0C)
        case "v": return single(0x0B)
        case "a": return single(0x07)
        case "e": return single(0x1B)
        case "s": return (.whiteSpace, nil)
        case "S": return (CodePointSet.whiteSpace.inverted, nil)
        case "d": return (decimals, nil)
        case "D": return (decimals.inverted, nil)
        case "w": return (.word, nil)
        case "W": return (CodePointSet.word.inverted, nil)
        case "h", "H":
            let digits = CodePointSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
            return (scalar == "h" ? digits : digits.inverted, nil)
        case "p", "P": return (try property(isInverted: scalar == "P"), nil)
        case "x", "u": return single(try hexadecimal(scalar == "x" ? 2 : 4))
        default:
            // Letters and digits are reserved, for back references among others.
            let isWord = CharacterClass(scalar.value) == .letter || CharacterClass(scalar.value) == .number
            guard !isWord else { throw ExpressionError("the escape '\\\(scalar)'") }
            return single(scalar.value)
        }
    }

    private var decimals: CodePointSet { dialect == .oniguruma ? .digits : CodePointSet(0x30...0x39) }

    private mutating func property(isInverted: Bool) throws(ExpressionError) -> CodePointSet {
        guard skip("{") else { throw ExpressionError("the escape '\\p' without braces") }
        var name = ""
        while let scalar = next(), scalar != "}", name.utf8.count < 64 { name.unicodeScalars.append(scalar) }
        let isNegated = name.hasPrefix("^")
        guard let set = CodePointSet.property(isNegated ? String(name.dropFirst()) : name) else {
            throw ExpressionError("the property '\\p{\(name)}'")
        }
        return isInverted != isNegated ? set.inverted : set
    }

    /// The code point of `\x41`, `\x{1F600}` or `\u00E9`.
    private mutating func hexadecimal(_ digits: Int) throws(ExpressionError) -> UInt32 {
        let isBraced = skip("{")
        var code: UInt32 = 0
        var count = 0
        while let scalar = peek, count < (isBraced ? 6 : digits), let digit = scalar.hexadecimalDigit {
            code = code << 4 | digit
            count += 1
            _ = next()
        }
        guard count > 0, isBraced ? skip("}") : count == digits, Unicode.Scalar(code) != nil else {
            throw ExpressionError("a code point that is not hexadecimal")
        }
        return code
    }

    // MARK: - Brackets

    /// A set in brackets, after the opening one.
    mutating func bracket() throws(ExpressionError) -> CodePointSet {
        let isInverted = skip("^")
        var result: CodePointSet?
        repeat {
            let part = try bracketPart(isFirst: result == nil)
            result = result.map { $0.intersection(part) } ?? part
        } while skip("&&")
        guard skip("]"), let set = result else { throw ExpressionError("a ']' is missing") }
        return isInverted ? set.inverted : set
    }

    /// The union of the elements up to `]` or `&&`.
    private mutating func bracketPart(isFirst: Bool) throws(ExpressionError) -> CodePointSet {
        var set = CodePointSet.none
        var isEmpty = true
        while let scalar = peek {
            if scalar == "]", !(isFirst && isEmpty) { break }
            if isIntersection { break }
            isEmpty = false
            set = set.union(try element())
        }
        return set
    }

    private var isIntersection: Bool {
        var copy = self
        return copy.skip("&&")
    }

    private mutating func element() throws(ExpressionError) -> CodePointSet {
        if skip("[:") { return try posix() }
        if skip("[") { return try nested { (parser) throws(ExpressionError) in try parser.bracket() } }
        let (set, first) = try bracketCharacter()
        guard let first else { return try folded(named: set) }
        guard peek == "-" else { return try folded(first...first) }
        var copy = self
        _ = copy.next()
        // A hyphen at the end means itself.
        guard let afterHyphen = copy.peek, afterHyphen != "]", afterHyphen != "[" else {
            return try folded(first...first)
        }
        self = copy
        guard let last = try bracketCharacter().code, first <= last else {
            throw ExpressionError("a range that is none")
        }
        let range = try folded(first...last)
        return dialect == .llamaCpp && last >= 0x80 ? range.subtracting(.whiteSpace) : range
    }

    private mutating func bracketCharacter() throws(ExpressionError) -> (set: CodePointSet, code: UInt32?) {
        guard let scalar = next() else { throw ExpressionError("a ']' is missing") }
        if scalar == "\\" {
            if skip("b") { return (CodePointSet(0x08), 0x08) }
            return try escapedSet()
        }
        return (CodePointSet(scalar.value), scalar.value)
    }

    /// `[:name:]`, after the first colon.
    private mutating func posix() throws(ExpressionError) -> CodePointSet {
        let isInverted = skip("^")
        var name = ""
        while let scalar = peek, scalar != ":", name.utf8.count < 32 {
            name.unicodeScalars.append(scalar)
            _ = next()
        }
        guard skip(":]"), ["space", "digit", "word", "punct"].contains(name), let set = CodePointSet.property(name)
        else {
            throw ExpressionError("the class '[:\(name):]'")
        }
        return isInverted ? set.inverted : set
    }
}

extension Unicode.Scalar {
    /// The value of a hexadecimal digit.
    fileprivate var hexadecimalDigit: UInt32? {
        switch self {
        case "0"..."9": value - 0x30
        case "a"..."f", "A"..."F": (value | 0x20) - 0x61 + 10
        default: nil
        }
    }
}
