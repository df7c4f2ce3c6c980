// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySparse
import TinySupport

extension Option {
    /// What a text has to be.
    static let constraints = [
        Option(
            "json-schema", value: "FILE|TEXT",
            "only JSON that this schema describes, for instance '{\"type\": \"object\", \"properties\": {\"age\": {\"type\": "
                + "\"integer\"}}, \"required\": [\"age\"]}'; docs/CONSTRAINTS.md says what is supported"),
        Option(
            "regex", value: "TEXT",
            "only a text that matches this regular expression as a whole: '(yes|no), because .*'"),
        Option(
            "grammar", value: "FILE|TEXT",
            "only a text of this grammar in llama.cpp's format: 'root ::= \"- \" [a-z ]+ (\"\\n- \" [a-z ]+){2}'"),
    ]
}

extension Constraint {
    /// The value of --json-schema, --regex or --grammar; nil without them.
    /// - Throws: `Failure`.
    init?(_ arguments: Arguments) throws(Failure) {
        let given = Option.constraints.map { $0.long }.filter { arguments.has($0) }
        guard given.count <= 1 else { throw .usage("--\(given[0]) and --\(given[1]) cannot be combined") }
        guard let name = given.first, let value = arguments.string(name) else { return nil }
        var source = value, place = "--\(name)"
        // A schema begins with a brace, and a grammar has rules; anything else is a file.
        let isText =
            switch name {
            case "json-schema": value.trimmingSpaces().hasPrefix("{") || value == "true"
            case "grammar": value.contains(text: "::=")
            default: true
            }
        if !isText {
            source = String(decoding: try readAll(value), as: UTF8.self)
            place = "\(place) \(escaped(value))"
        }
        do throws(ConstraintError) {
            switch name {
            case "json-schema": self = try .jsonSchema(source)
            case "regex": self = try .regularExpression(source)
            default: self = try .grammar(source)
            }
        } catch {
            throw .problem("\(place): \(error.description)")
        }
    }
}
