// SPDX-License-Identifier: Apache-2.0

/// Makes a syntax tree of a template's source: a recursive-descent parser after Jinja's grammar. The depth limit bounds the
/// recursion, here and in everything that walks the tree.
struct Parser {
    private let tokens: [Token]
    private var position = 0
    var depth = 0
    /// Whether the source stands directly in a branch of an `if`.
    var isConditional = false
    /// Filters and tests that do not exist. In a branch that may never be reached, Jinja only minds them when it is.
    var missing: [TemplateError] = []
    /// The loops around the source, up to the body of a macro or another block that cannot be left.
    var openLoops = 0
    /// The loops around the source, those around macros included.
    var loopStatements = 0
    /// The template's own scope, and those within; and which of them the source is in.
    var scopes = [ScopeNames(parent: nil)]
    var scope = 0
    /// The special variables that are used in the bodies of macros around the source.
    var macroUses: [MacroStatement.SpecialNames] = []

    /// The statements, and for each scope the names that have no value in it before it assigns one.
    /// - Throws: `TemplateError`.
    static func parse(_ source: String) throws(TemplateError) -> (body: Body, hidden: [[String]]) {
        guard source.utf8.count <= TemplateLimits.sourceBytes else {
            throw TemplateError(.limit, line: 0, "the template has more than \(TemplateLimits.sourceBytes) bytes")
        }
        var parser = Parser(tokens: try Lexer.tokens(of: source))
        let statements = try parser.statements(until: [])
        if let error = parser.missing.first { throw error }
        return (Body(statements: statements, scope: 0), ScopeNames.hidden(parser.scopes))
    }

    private init(tokens: [Token]) { self.tokens = tokens }

    // MARK: Tokens

    var current: Token { tokens[position] }
    var following: Token { tokens[min(position + 1, tokens.count - 1)] }
    var line: Int { current.line }

    mutating func advance() { if position < tokens.count - 1 { position += 1 } }

    mutating func skip(_ symbol: Symbol) -> Bool {
        guard current.isSymbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard current.isName(name) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: Symbol) throws(TemplateError) {
        guard skip(symbol) else { throw fail("expected '\(symbol.rawValue)' instead of \(current.name)") }
    }

    mutating func expect(_ kind: Token.Kind) throws(TemplateError) {
        guard current.kind == kind else {
            throw fail("expected \(Token(kind: kind, line: 0).name) instead of \(current.name)")
        }
        advance()
    }

    mutating func name() throws(TemplateError) -> String {
        guard case .name(let name) = current.kind else { throw fail("expected a name instead of \(current.name)") }
        advance()
        return name
    }

    // MARK: Errors and notes

    func fail(_ reason: String, _ kind: TemplateError.Kind = .syntax) -> TemplateError {
        TemplateError(kind, line: line, reason)
    }

    func unsupported(_ what: String) -> TemplateError { fail("\(what): not supported", .unsupported) }

    /// Enters levels of nesting, which the caller leaves.
    mutating func descend(_ levels: Int = 1) throws(TemplateError) {
        guard depth + levels <= TemplateLimits.sourceDepth else {
            throw fail("nested deeper than \(TemplateLimits.sourceDepth) levels", .limit)
        }
        depth += levels
    }

    mutating func note(missing kind: String, _ name: String, _ line: Int) {
        guard !isConditional else { return }
        missing.append(TemplateError(.unsupported, line: line, "there is no \(kind) '\(name)'"))
    }

    mutating func note(use name: String) {
        scopes[scope].use(name)
        for index in macroUses.indices {
            switch name {
            case "caller": macroUses[index].caller = true
            case "kwargs": macroUses[index].keywords = true
            case "varargs": macroUses[index].positional = true
            default: return
            }
        }
    }
}
