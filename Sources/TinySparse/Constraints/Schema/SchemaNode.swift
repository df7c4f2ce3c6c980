// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A schema that is an object, and where it stands.
struct SchemaNode {
    var members: [(key: String, value: JSON)]
    let pointer: String

    /// - Throws: `ConstraintError` for a keyword that is given twice.
    init(_ members: [(key: String, value: JSON)], at pointer: String) throws(ConstraintError) {
        self.members = members
        self.pointer = pointer
        var seen: Set<[UInt8]> = []
        for (key, _) in members where !seen.insert(Array(key.utf8)).inserted {
            throw error("\(JSON.quoted(printable(key))) is there twice")
        }
    }

    subscript(_ keyword: String) -> JSON? { members.first { $0.key == keyword }?.value }

    func error(_ message: String, in keyword: String? = nil) -> ConstraintError {
        ConstraintError(.pointer(keyword.map { Self.pointer(pointer, $0) } ?? pointer), message)
    }

    /// A pointer that goes one step further.
    static func pointer(_ pointer: String, _ step: String) -> String {
        pointer + "/"
            + step.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
            .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
    }

    // MARK: - Keywords

    /// Keywords that describe a schema and demand nothing.
    private static let annotations: Set<String> = [
        "$schema", "$comment", "$defs", "definitions", "$anchor", "title", "description", "default", "examples",
        "deprecated",
        "readOnly", "writeOnly", "contentMediaType", "contentEncoding",
    ]
    /// Keywords that combine schemas.
    static let combinations: Set<String> = ["$ref", "allOf", "anyOf", "oneOf"]

    /// Keywords that demand something of values of a type, and of no others.
    static let keywordsOfType: [(type: String, keywords: [String])] = [
        ("string", ["minLength", "maxLength", "pattern", "format"]),
        ("number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
        ("object", ["properties", "required", "additionalProperties"]),
        ("array", ["items", "prefixItems", "minItems", "maxItems"]),
    ]

    /// The keywords that demand something.
    var assertions: [String] { members.map { $0.key }.filter { !isAnnotation($0) } }

    /// Whether a keyword demands nothing. The identifier of the schema as a whole changes nothing about references in it.
    func isAnnotation(_ keyword: String) -> Bool {
        Self.annotations.contains(keyword) || ((keyword == "$id" || keyword == "id") && pointer == "#")
    }

    /// - Throws: `ConstraintError` for a keyword that is not supported.
    func checkKeywords() throws(ConstraintError) {
        for keyword in assertions where keyword != "type" && keyword != "enum" && keyword != "const" {
            guard
                !Self.combinations.contains(keyword),
                !Self.keywordsOfType.contains(where: { $0.keywords.contains(keyword) })
            else { continue }
            throw error(
                "\(JSON.quoted(printable(keyword))) is not supported; leave it out, and check what is generated",
                in: keyword)
        }
    }

    // MARK: - Values

    /// The names of types, in the order of the schema; nil if there is no `type`.
    func types() throws(ConstraintError) -> [String]? {
        guard let value = self["type"] else { return nil }
        let known = ["null", "boolean", "integer", "number", "string", "array", "object"]
        let names = value.string.map { [$0] } ?? value.array?.map { $0.string ?? "" } ?? []
        guard !names.isEmpty, names.allSatisfy({ known.contains($0) }) else {
            throw error("a type, or a list of types, is needed: " + known.joined(separator: ", "), in: "type")
        }
        return names
    }

    /// A number of characters or elements.
    func count(_ keyword: String) throws(ConstraintError) -> Int? {
        guard let value = self[keyword] else { return nil }
        guard let count = value.double.flatMap({ Int(exactly: $0) }), 0...ConstraintLimits.repetitions ~= count else {
            throw error("a whole number from 0 to \(ConstraintLimits.repetitions) is needed", in: keyword)
        }
        return count
    }

    /// The values of `const` or `enum`; nil without them.
    func values() throws(ConstraintError) -> [JSON]? {
        if let value = self["const"] { return [value] }
        guard let list = self["enum"] else { return nil }
        guard let values = list.array, !values.isEmpty else {
            throw error("a list with at least one value is needed", in: "enum")
        }
        return values
    }
}

extension JSON {
    /// The type of a value in JSON Schema; a number without a fraction is an integer.
    var schemaType: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer: "integer"
        case .double(let value): value.rounded() == value ? "integer" : "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    /// Text that is equal for values that are equal in JSON Schema: 1 and 1.0, and objects in any order.
    var canonical: String {
        switch self {
        case .integer(let value): Double(exactly: value).map { "\($0)" } ?? "\(value)"
        case .double(let value): "\(value == 0 ? 0 : value)"
        case .array(let values): "[" + values.map { $0.canonical }.joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { JSON.quoted($0.key) + ":" + $0.value.canonical }.sorted().joined(separator: ",") + "}"
        case .null, .bool, .string: compact
        }
    }
}
