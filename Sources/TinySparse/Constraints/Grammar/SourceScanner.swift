// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A text that is read scalar by scalar, and knows its lines.
struct SourceScanner {
    private let scalars: [Unicode.Scalar]
    /// Where lines begin.
    private let lines: [Int]
    private(set) var position = 0
    private var depth = 0

    init(_ text: String) {
        scalars = Array(text.unicodeScalars)
        lines = [0] + scalars.indices.filter { [scalars] in scalars[$0] == "\n" }.map { $0 + 1 }
    }

    var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    mutating func next() -> Unicode.Scalar? {
        guard let scalar = peek else { return nil }
        position += 1
        return scalar
    }

    /// Passes over a text if it comes next.
    mutating func skip(_ text: String) -> Bool {
        let end = position + text.unicodeScalars.count
        guard end <= scalars.count, scalars[position..<end].elementsEqual(text.unicodeScalars) else { return false }
        position = end
        return true
    }

    /// Passes over scalars as long as they are of a kind.
    mutating func take(while isWanted: (Unicode.Scalar) -> Bool) -> String {
        var text = String.UnicodeScalarView()
        while let scalar = peek, isWanted(scalar) {
            text.append(scalar)
            position += 1
        }
        return String(text)
    }

    /// Goes back to where `position` was.
    mutating func back(to place: Int) { position = place }

    /// One level deeper; `leave` ends it.
    mutating func enter() throws(ConstraintError) {
        depth += 1
        if depth > ConstraintLimits.depth { throw error("groups nested deeper than \(ConstraintLimits.depth)") }
    }

    mutating func leave() { depth -= 1 }

    // MARK: - Numbers

    /// The character whose code is written with `count` hexadecimal digits.
    mutating func hexadecimal(_ count: Int) throws(ConstraintError) -> UInt32 {
        let start = position
        return try checked(try hexadecimalDigits(count), at: start)
    }

    /// The value of `count` hexadecimal digits, at most eight.
    mutating func hexadecimalDigits(_ count: Int) throws(ConstraintError) -> UInt32 {
        let start = position
        var code: UInt32 = 0
        for _ in 0..<count {
            guard let scalar = next(), scalar.isASCII, let digit = Character(scalar).hexDigitValue else {
                throw error("\(count) hexadecimal digits are needed", at: start)
            }
            code = code << 4 | UInt32(digit)
        }
        return code
    }

    /// A code, if it is that of a character.
    func checked(_ code: UInt32, at start: Int) throws(ConstraintError) -> UInt32 {
        guard Unicode.Scalar(code) != nil else { throw error("no character has this code", at: start) }
        return code
    }

    /// A decimal number, if one comes next.
    mutating func number() throws(ConstraintError) -> Int? {
        let start = position
        let digits = take { "0"..."9" ~= $0 }
        guard !digits.isEmpty else { return nil }
        guard let number = Int(digits), number <= ConstraintLimits.repetitions else {
            throw error("a repetition of more than \(ConstraintLimits.repetitions) times", at: start)
        }
        return number
    }

    /// How often the signs `*`, `+` and `?` let something repeat; nil if none comes next.
    mutating func shortBounds() -> (minimum: Int, maximum: Int?)? {
        if skip("*") { return (0, nil) }
        if skip("+") { return (1, nil) }
        return skip("?") ? (0, 1) : nil
    }

    // MARK: - Errors

    /// An error at a position; nil for that of the next scalar.
    func error(_ message: String, at place: Int? = nil) -> ConstraintError {
        ConstraintError(self.place(of: place ?? position), message)
    }

    func place(of position: Int) -> ConstraintError.Place {
        var (line, after) = (0, lines.count)
        while after - line > 1 {
            let middle = (line + after) / 2
            if lines[middle] <= position { line = middle } else { after = middle }
        }
        return .line(line + 1, column: position - lines[line] + 1)
    }

    /// What comes next, for messages.
    var found: String { peek.map { "'\(printable(String($0)))'" } ?? "the end" }
}
