// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Several schemas that hold at the same time as one, where keywords can be combined simply.
struct SchemaMerge {
    let root: JSON
    private static let maximumParts = 256, maximumDepth = 32

    /// A schema without `allOf` and `$ref`: their schemas are part of it.
    /// - Throws: `ConstraintError` for keywords that cannot be combined.
    func flattened(_ node: SchemaNode) throws(ConstraintError) -> SchemaNode {
        var parts: [SchemaNode] = []
        try collect(node, depth: 0, &parts)
        var members: [(key: String, value: JSON)] = []
        for part in parts { members = try merged(members, part.members, at: node) }
        return try SchemaNode(members, at: node.pointer)
    }

    private func collect(_ node: SchemaNode, depth: Int, _ parts: inout [SchemaNode]) throws(ConstraintError) {
        guard depth < Self.maximumDepth, parts.count < Self.maximumParts else {
            throw node.error("too many schemas in one, or one that is a part of itself")
        }
        var own = node
        own.members.removeAll { $0.key == "$ref" || $0.key == "allOf" }
        try own.checkKeywords()
        parts.append(own)
        if node["$ref"] != nil {
            let (pointer, schema) = try SchemaReference.resolve(node, in: root)
            try collect(schema, at: pointer, depth: depth + 1, &parts)
        }
        guard let value = node["allOf"] else { return }
        guard let schemas = value.array, !schemas.isEmpty else {
            throw node.error("a list with at least one schema is needed", in: "allOf")
        }
        for (i, schema) in schemas.enumerated() {
            let pointer = SchemaNode.pointer(SchemaNode.pointer(node.pointer, "allOf"), "\(i)")
            try collect(schema, at: pointer, depth: depth + 1, &parts)
        }
    }

    private func collect(
        _ schema: JSON, at pointer: String, depth: Int, _ parts: inout [SchemaNode]
    ) throws(ConstraintError) {
        switch schema {
        case .bool(true): break
        case .object(let members): try collect(SchemaNode(members, at: pointer), depth: depth, &parts)
        default: throw ConstraintError(.pointer(pointer), "a schema that some value fits is needed")
        }
    }

    // MARK: - Two schemas

    private typealias Members = [(key: String, value: JSON)]

    private func merged(_ a: Members, _ b: Members, at node: SchemaNode) throws(ConstraintError) -> Members {
        try refuseClosed(a, b, at: node)
        try refuseClosed(b, a, at: node)
        var result = a
        for (key, value) in b {
            guard let place = result.firstIndex(where: { $0.key == key }) else {
                result.append((key, value))
                continue
            }
            let old = result[place].value
            if old.canonical != value.canonical { result[place].value = try combined(key, old, value, at: node) }
        }
        return result
    }

    /// What a schema says of members and elements that it does not name is about those that the other one names.
    private func refuseClosed(_ a: Members, _ b: Members, at node: SchemaNode) throws(ConstraintError) {
        func value(_ members: Members, _ key: String) -> JSON? { members.first { $0.key == key }?.value }
        if let additional = value(a, "additionalProperties"), additional.bool != true {
            let names = value(a, "properties")?.object?.map { $0.key } ?? []
            let others = value(b, "properties")?.object?.map { $0.key } ?? []
            if let other = others.first(where: { !names.contains($0) }) {
                throw node.error(
                    "additionalProperties of one schema says something of \(JSON.quoted(printable(other))), which another one "
                        + "describes; describe it in one place")
            }
        }
        if value(a, "items") != nil, value(b, "prefixItems") != nil, value(a, "prefixItems") == nil {
            throw node.error("items of one schema and prefixItems of another cannot be combined")
        }
    }

    private func combined(
        _ keyword: String, _ a: JSON, _ b: JSON, at node: SchemaNode
    ) throws(ConstraintError) -> JSON {
        switch keyword {
        case "type": return try commonTypes(a, b, at: node)
        case "required":
            let names = (a.array ?? []).map { $0.canonical }
            return .array((a.array ?? []) + (b.array ?? []).filter { !names.contains($0.canonical) })
        case "properties":
            var members = a.object ?? []
            for (name, schema) in b.object ?? [] {
                if let place = members.firstIndex(where: { $0.key == name }) {
                    members[place].value = .object([("allOf", .array([members[place].value, schema]))])
                } else {
                    members.append((name, schema))
                }
            }
            return .object(members)
        case "items": return .object([("allOf", .array([a, b]))])
        case "enum":
            let known = (b.array ?? []).map { $0.canonical }
            let common = (a.array ?? []).filter { known.contains($0.canonical) }
            guard !common.isEmpty else { throw node.error("schemas that hold together have no value in common") }
            return .array(common)
        case "minimum", "exclusiveMinimum", "minLength", "minItems":
            return a.double ?? -.infinity > b.double ?? -.infinity ? a : b
        case "maximum", "exclusiveMaximum", "maxLength", "maxItems":
            return a.double ?? .infinity < b.double ?? .infinity ? a : b
        default:
            guard node.isAnnotation(keyword) else {
                throw node.error(
                    "two schemas that hold together both have \(JSON.quoted(keyword)), which cannot be combined")
            }
            return a
        }
    }

    private func commonTypes(_ a: JSON, _ b: JSON, at node: SchemaNode) throws(ConstraintError) -> JSON {
        let first = try SchemaNode([("type", a)], at: node.pointer).types() ?? []
        let second = try SchemaNode([("type", b)], at: node.pointer).types() ?? []
        var common: [String] = []
        for type in first {
            if second.contains(type) || (type == "integer" && second.contains("number")) {
                common.append(type)
            } else if type == "number", second.contains("integer") {
                common.append("integer")
            }
        }
        guard !common.isEmpty else { throw node.error("schemas that hold together have no type in common") }
        return .array(common.map { .string($0) })
    }
}
