// SPDX-License-Identifier: Apache-2.0

import TinyConstraints
import TinySupport

extension Constraint {
    /// The members of a request that constrain its text.
    static let requestKeys = ["json_schema", "regex", "grammar", "response_format"]

    /// The constraint of a request; nil if it says nothing of any.
    /// - Returns: a constraint, or nil in the second optional for a text that is not constrained.
    /// - Throws: `RequestError` for one that is not understood, and for several.
    static func requested(_ request: Request) throws(RequestError) -> Constraint?? {
        let given = requestKeys.filter { request[$0] != nil }
        guard given.count <= 1 else { throw RequestError("\(given[0]) and \(given[1]) cannot be combined") }
        guard let key = given.first, let value = request[key] else { return nil }
        do throws(ConstraintError) {
            switch key {
            case "json_schema":
                if let text = value.string { return try .jsonSchema(text) }
                return try .jsonSchema(value)
            case "response_format": break
            default:
                guard let text = value.string else { throw ConstraintError(.everywhere, "a string is needed") }
                return key == "regex" ? try .regularExpression(text) : try .grammar(text)
            }
            return try responseFormat(value)
        } catch {
            throw RequestError("\(key): \(error.description)")
        }
    }

    /// OpenAI's `response_format`: text, which is not constrained, any JSON object, or the JSON of a schema.
    /// - Throws: `ConstraintError` for a format of another type, and for a schema that is not understood.
    public static func responseFormat(_ format: JSON) throws(ConstraintError) -> Constraint? {
        switch format["type"]?.string {
        case "text": return nil
        case "json_object": return try .jsonSchema(.object([("type", .string("object"))]))
        case "json_schema":
            guard let schema = format["json_schema"]?["schema"] else {
                throw ConstraintError(.everywhere, "json_schema.schema is missing")
            }
            return try .jsonSchema(schema)
        default:
            throw ConstraintError(.everywhere, "its type has to be text, json_object or json_schema")
        }
    }
}
