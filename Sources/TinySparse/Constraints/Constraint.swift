// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What a generated text has to be: a JSON document of a schema, a match of a regular expression, or a text of a grammar.
/// docs/CONSTRAINTS.md says what each of them may contain.
///
///     var options = GenerationOptions()
///     options.constraint = try .jsonSchema(#"{"type": "object", "properties": {"age": {"type": "integer"}}}"#)
///
/// Immutable; one can be used for any number of texts, on any threads.
public struct Constraint: Sendable {
    let network: TransitionNetwork

    /// A text of a grammar.
    /// - Throws: `ConstraintError` for one that cannot be run: no text matches, left recursion, or too large.
    package init(_ grammar: Grammar) throws(ConstraintError) { network = try NetworkBuilder.network(of: grammar) }

    /// A JSON document that a schema describes (JSON Schema, draft 2020-12 and, where they agree, earlier ones).
    /// - Parameter schema: the schema's text.
    /// - Throws: `ConstraintError` with a JSON pointer to what is not understood, or the line of what is no JSON.
    public static func jsonSchema(_ schema: String) throws(ConstraintError) -> Constraint {
        let bytes = try checkedSource(schema)
        let document: JSON
        do throws(JSONError) {
            document = try JSON.parse(bytes)
        } catch {
            let before = bytes[..<min(error.offset, bytes.count)]
            let line = before.count { $0 == 0x0A } + 1
            let column = before.reversed().prefix { $0 != 0x0A }.count { $0 & 0xC0 != 0x80 } + 1
            throw ConstraintError(.line(line, column: column), "no JSON: \(error.message)")
        }
        return try jsonSchema(document)
    }

    /// The same for a schema that has been parsed.
    public static func jsonSchema(_ schema: JSON) throws(ConstraintError) -> Constraint {
        try Constraint(try SchemaCompiler.grammar(of: schema))
    }

    /// A text that matches a regular expression as a whole (the syntax of ECMA-262, what is regular of it).
    /// - Throws: `ConstraintError` with the line and column of what is not understood.
    public static func regularExpression(_ source: String) throws(ConstraintError) -> Constraint {
        _ = try checkedSource(source)
        let pattern = try RegexParser.wholeText(source)
        return try Constraint(Grammar(rules: [.init(name: "the expression", place: .everywhere, pattern: pattern)]))
    }

    /// A text of a grammar in llama.cpp's format, GBNF, whose first rule is called `root`.
    /// - Throws: `ConstraintError` with the line and column of what is not understood.
    public static func grammar(_ source: String) throws(ConstraintError) -> Constraint {
        _ = try checkedSource(source)
        return try Constraint(try GBNFParser.grammar(source))
    }

    private static func checkedSource(_ source: String) throws(ConstraintError) -> [UInt8] {
        let bytes = Array(source.utf8)
        guard bytes.count <= ConstraintLimits.sourceBytes else {
            throw ConstraintError(.everywhere, "more than \(ConstraintLimits.sourceBytes) bytes")
        }
        return bytes
    }
}
