// SPDX-License-Identifier: Apache-2.0

// Macros, and what values are assigned to.

extension Parser {
    /// The parameters of a macro with the defaults of the last of them.
    mutating func parameters() throws(TemplateError) -> (names: [String], defaults: [Expression]) {
        var names: [String] = []
        var known: Set<String> = []
        var defaults: [Expression] = []
        let wasConditional = isConditional
        isConditional = false
        defer { isConditional = wasConditional }
        try expect(.openParenthesis)
        while !current.isSymbol(.closeParenthesis) {
            if !names.isEmpty { try expect(.comma) }
            let name = try variable()
            guard known.insert(name).inserted else { throw fail("the parameter '\(name)' is there twice") }
            scopes[scope].use(name)
            names.append(name)
            if skip(.assign) {
                defaults.append(try expression())
            } else if !defaults.isEmpty {
                throw fail("a parameter without a default follows one with a default")
            }
        }
        advance()
        return (names, defaults)
    }

    /// The body of a macro after its parameters, in a scope of its own, which is open.
    mutating func macro(
        named name: String?, _ parameters: (names: [String], defaults: [Expression]), endsAt word: String
    ) throws(TemplateError) -> MacroStatement {
        let (wasConditional, loops) = (isConditional, openLoops)
        (isConditional, openLoops) = (false, 0)
        macroUses.append(MacroStatement.SpecialNames())
        let body = Body(statements: try body(until: word), scope: scope)
        advance()
        var uses = macroUses.removeLast()
        (isConditional, openLoops) = (wasConditional, loops)
        if uses.caller, let index = parameters.names.firstIndex(of: "caller") {
            guard index >= parameters.names.count - parameters.defaults.count else {
                throw fail("the parameter 'caller' needs a default")
            }
        }
        // A parameter of that name is an ordinary one.
        if parameters.names.contains("kwargs") { uses.keywords = false }
        if parameters.names.contains("varargs") { uses.positional = false }
        return MacroStatement(
            name: name, parameters: parameters.names, defaults: parameters.defaults, body: body, uses: uses)
    }

    /// The name of a variable that is assigned to.
    mutating func variable() throws(TemplateError) -> String {
        if case .name(let name) = current.kind, ["true", "false", "none", "True", "False", "None"].contains(name) {
            throw fail("'\(name)' cannot be assigned to")
        }
        return try name()
    }

    /// What a value is assigned to: a name, or several between commas.
    mutating func target(
        allowsAttributes: Bool = false, endsAt word: String? = nil
    ) throws(TemplateError) -> Target {
        try descend()
        defer { depth -= 1 }
        let (targets, isTuple) = try list(endsAt: word) { (parser: inout Parser) throws(TemplateError) in
            try parser.targetElement(allowsAttributes: allowsAttributes)
        }
        guard let first = targets.first else { throw fail("expected a name instead of \(current.name)") }
        return isTuple ? .tuple(targets) : first
    }

    private mutating func targetElement(allowsAttributes: Bool) throws(TemplateError) -> Target {
        if skip(.openParenthesis) {
            let target = try target()
            try expect(.closeParenthesis)
            return target
        }
        let name = try variable()
        guard allowsAttributes, skip(.dot) else {
            guard name != "loop" || loopStatements == 0 else { throw fail("'loop' cannot be assigned to in a loop") }
            return .name(name)
        }
        return .attribute(of: name, try self.name())
    }
}
