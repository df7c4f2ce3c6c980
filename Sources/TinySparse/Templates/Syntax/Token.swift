// SPDX-License-Identifier: Apache-2.0

/// A piece of a template's source.
struct Token {
    enum Kind: Equatable {
        /// Text between tags.
        case data([Scalar])
        case outputBegin, outputEnd
        case tagBegin, tagEnd
        case name(String)
        case string([Scalar])
        case integer(Int)
        case double(Double)
        case symbol(Symbol)
        case end
    }

    let kind: Kind
    let line: Int

    func isName(_ name: String) -> Bool { kind == .name(name) }
    func isSymbol(_ symbol: Symbol) -> Bool { kind == .symbol(symbol) }

    /// What an error calls the token.
    var name: String {
        switch kind {
        case .data: "text"
        case .outputBegin: "'{{'"
        case .outputEnd: "'}}'"
        case .tagBegin: "'{%'"
        case .tagEnd: "'%}'"
        case .name(let name): "'\(name)'"
        case .string: "a string"
        case .integer(let value): "\(value)"
        case .double(let value): "\(value)"
        case .symbol(let symbol): "'\(symbol.rawValue)'"
        case .end: "the end of the template"
        }
    }
}

/// The operators and brackets inside tags; longer ones first, because "*" begins "**".
enum Symbol: String, CaseIterable {
    case power = "**", floorDivide = "//", equal = "==", notEqual = "!=", atLeast = ">=", atMost = "<="
    case add = "+", subtract = "-", divide = "/", multiply = "*", remainder = "%", concat = "~"
    case openBracket = "[", closeBracket = "]", openParenthesis = "(", closeParenthesis = ")"
    case openBrace = "{", closeBrace = "}"
    case greater = ">", less = "<", assign = "=", dot = ".", colon = ":", pipe = "|", comma = ",", semicolon = ";"

    /// The bracket that closes this one.
    var closing: Symbol? {
        switch self {
        case .openBracket: .closeBracket
        case .openParenthesis: .closeParenthesis
        case .openBrace: .closeBrace
        default: nil
        }
    }

    var closes: Bool { self == .closeBracket || self == .closeParenthesis || self == .closeBrace }
}
