// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What `$ref` names: a schema in the same document, by its JSON pointer (RFC 6901, 6).
enum SchemaReference {
    /// - Returns: the pointer, spelled as those of errors, and the schema.
    /// - Throws: `ConstraintError` for another document, and for a pointer to nothing.
    static func resolve(_ node: SchemaNode, in root: JSON) throws(ConstraintError) -> (pointer: String, schema: JSON) {
        guard let text = node["$ref"]?.string else { throw node.error("a string is needed", in: "$ref") }
        guard text == "#" || text.hasPrefix("#/") else {
            throw node.error("only references within the schema are supported, which begin with #/", in: "$ref")
        }
        var (pointer, schema) = ("#", root)
        for step in try percentDecoded(text, node).split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let key = try unescaped(step, node)
            pointer = SchemaNode.pointer(pointer, key)
            let next =
                switch schema {
                case .array(let elements): Int(key).flatMap { elements.indices.contains($0) ? elements[$0] : nil }
                default: schema[key]
                }
            guard let next else { throw node.error("there is nothing at \(printable(pointer))", in: "$ref") }
            schema = next
        }
        return (pointer, schema)
    }

    /// `~1` stands for a slash, `~0` for a tilde.
    private static func unescaped(_ step: Substring, _ node: SchemaNode) throws(ConstraintError) -> String {
        let parts = step.split(separator: "~", omittingEmptySubsequences: false)
        var key = String(parts[0])
        for part in parts.dropFirst() {
            guard let escape = part.first, escape == "0" || escape == "1" else {
                throw node.error("after '~', 0 or 1 is needed", in: "$ref")
            }
            key += (escape == "1" ? "/" : "~") + part.dropFirst()
        }
        return key
    }

    private static func percentDecoded(_ text: String, _ node: SchemaNode) throws(ConstraintError) -> String {
        var scanner = SourceScanner(text)
        var bytes: [UInt8] = []
        while let scalar = scanner.next() {
            if scalar == "%" {
                guard let code = try? scanner.hexadecimalDigits(2) else {
                    throw node.error("two hexadecimal digits are needed after '%'", in: "$ref")
                }
                bytes.append(UInt8(code))
            } else {
                bytes += Array(String(scalar).utf8)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
