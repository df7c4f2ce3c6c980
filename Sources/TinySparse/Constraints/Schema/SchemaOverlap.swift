// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Whether a value can fit two schemas: `oneOf` forbids it, a grammar cannot, so that it has to be impossible.
struct SchemaOverlap {
    let root: JSON
    private static let maximumAlternatives = 256, maximumDepth = 4

    /// One of the schemas.
    private struct Alternative {
        /// Whether no value fits it.
        let isImpossible: Bool
        /// The schema without references; nil if it says nothing that is understood here.
        let node: SchemaNode?

        init(_ schema: JSON, _ root: JSON) {
            isImpossible = schema.bool == false
            let node = schema.object.flatMap { try? SchemaNode($0, at: "#") }
            self.node = node.flatMap { try? SchemaMerge(root: root).flattened($0) }
        }
    }

    /// - Throws: `ConstraintError` if two alternatives may overlap.
    func refuse(in schemas: [JSON], of node: SchemaNode) throws(ConstraintError) {
        guard schemas.count <= Self.maximumAlternatives else {
            throw node.error("more than \(Self.maximumAlternatives) alternatives; use anyOf", in: "oneOf")
        }
        let alternatives = schemas.map { Alternative($0, root) }
        for (i, alternative) in alternatives.enumerated() {
            for (j, other) in alternatives.enumerated().dropFirst(i + 1)
            where !areDisjoint(alternative, other, depth: 0) {
                throw node.error(
                    "alternatives \(i) and \(j) may both fit a value; use anyOf, or give them types, constants or required "
                        + "properties that exclude one another", in: "oneOf")
            }
        }
    }

    /// Whether it is certain that no value fits both.
    private func areDisjoint(_ a: Alternative, _ b: Alternative, depth: Int) -> Bool {
        if a.isImpossible || b.isImpossible { return true }
        guard depth < Self.maximumDepth, let a = a.node, let b = b.node else { return false }
        if let first = types(a), let second = types(b) {
            // A whole number is a number, too.
            let numbers = ["integer", "number"]
            let overlap = first.contains { type in
                second.contains(type) || (numbers.contains(type) && second.contains { numbers.contains($0) })
            }
            if !overlap { return true }
        }
        if let first = try? a.values(), let second = try? b.values() {
            let known = Set(first.map { $0.canonical })
            return !second.contains { known.contains($0.canonical) }
        }
        guard types(a) == ["object"], types(b) == ["object"] else { return false }
        let (first, second) = (properties(a), properties(b))
        for (name, schema) in first where isRequired(name, a) && isRequired(name, b) {
            guard let other = second.first(where: { $0.key == name })?.value else { continue }
            if areDisjoint(Alternative(schema, root), Alternative(other, root), depth: depth + 1) { return true }
        }
        return excludes(a, b) || excludes(b, a)
    }

    /// Whether one has no members but those it names, and the other one requires another one.
    private func excludes(_ a: SchemaNode, _ b: SchemaNode) -> Bool {
        guard a["additionalProperties"]?.bool == false else { return false }
        let names = properties(a).map { $0.key }
        return (b["required"]?.array ?? []).contains { name in name.string.map { !names.contains($0) } ?? false }
    }

    private func types(_ node: SchemaNode) -> [String]? {
        if let types = try? node.types() { return types }
        return (try? node.values())?.map { $0.schemaType }
    }

    private func properties(_ node: SchemaNode) -> [(key: String, value: JSON)] { node["properties"]?.object ?? [] }

    private func isRequired(_ name: String, _ node: SchemaNode) -> Bool {
        (node["required"]?.array ?? []).contains { $0.string == name }
    }
}
