// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension SchemaCompiler {
    /// A member that a schema names.
    private struct Property {
        var name: String
        var schema: JSON
        var pointer: String
        var isRequired: Bool
    }

    /// Objects: the members of `properties` in their order, then others where they are allowed explicitly, or where no
    /// properties are named.
    mutating func object(_ node: SchemaNode) throws(ConstraintError) -> Pattern {
        let keywords = ["properties", "required", "additionalProperties"]
        guard keywords.contains(where: { node[$0] != nil }) else { return anyObject }
        let additional = node["additionalProperties"] ?? .bool(node["properties"] == nil)
        let properties = try properties(node, additional)
        var other: Pattern?
        if additional.bool != false {
            let value = rule(of: additional, at: SchemaNode.pointer(node.pointer, "additionalProperties"))
            let key = otherKey(than: properties.map { $0.name }, in: node)
            other = .sequence([key, JSONText.colon, value])
        }
        return .sequence([.text("{"), space, members(properties, other, in: node)])
    }

    private func properties(_ node: SchemaNode, _ additional: JSON) throws(ConstraintError) -> [Property] {
        let named = node["properties"] ?? .object([])
        guard let members = named.object else { throw node.error("an object of schemas is needed", in: "properties") }
        let pointer = SchemaNode.pointer(node.pointer, "properties")
        var properties: [Property] = []
        var places: [[UInt8]: Int] = [:]
        for (name, schema) in members {
            let place = SchemaNode.pointer(pointer, name)
            guard places.updateValue(properties.count, forKey: Array(name.utf8)) == nil else {
                throw ConstraintError(.pointer(place), "the property is there twice")
            }
            properties.append(Property(name: name, schema: schema, pointer: place, isRequired: false))
        }
        guard let required = node["required"] else { return properties }
        guard let names = required.array?.map({ $0.string }), !names.contains(nil) else {
            throw node.error("a list of strings is needed", in: "required")
        }
        for name in names.compactMap({ $0 }) {
            if let place = places[Array(name.utf8)] {
                properties[place].isRequired = true
            } else if additional.bool == false {
                throw node.error(
                    "the property \(JSON.quoted(printable(name))) is required, but not among the properties",
                    in: "required")
            } else {
                places[Array(name.utf8)] = properties.count
                let place = SchemaNode.pointer(node.pointer, "additionalProperties")
                properties.append(Property(name: name, schema: additional, pointer: place, isRequired: true))
            }
        }
        return properties
    }

    /// The members after the opening bracket, and the closing one. What comes from a property on depends on whether there
    /// was a member before: two rules for each, of which the second is left out where it cannot happen.
    private mutating func members(_ properties: [Property], _ other: Pattern?, in node: SchemaNode) -> Pattern {
        let comma = Pattern.sequence([.text(","), space])
        var first = Pattern.text("}")
        var next = Pattern.sequence([space, .text("}")])
        if let other {
            first = .sequence([list(other, minimum: 0, maximum: nil), .text("}")])
            next = .sequence([.repeated(.sequence([comma, other]), minimum: 0, maximum: nil), next])
        }
        let firstRequired = properties.firstIndex { $0.isRequired } ?? properties.count
        for (i, property) in properties.enumerated().reversed() {
            let value = rule(of: property.schema, at: property.pointer)
            let rest = rule(next, in: node)
            let member = Pattern.sequence([.text(JSON.quoted(property.name)), JSONText.colon, value, rest])
            let after = Pattern.sequence([comma, member])
            next = property.isRequired ? after : .alternatives([after, rest])
            // Without a member before, the required ones before this one were left out.
            guard i <= firstRequired else { continue }
            first = property.isRequired ? member : .alternatives([member, rule(first, in: node)])
        }
        return first
    }

    // MARK: - Keys

    /// Keys that differ from all names: a tree of the names' characters, which a key leaves at some place. Where it can
    /// still be a name, characters have one spelling.
    private mutating func otherKey(than names: [String], in node: SchemaNode) -> Pattern {
        guard !names.isEmpty else { return string }
        return .sequence([.text("\""), rest(of: names.map { Array($0.unicodeScalars)[...] }, in: node)])
    }

    private mutating func rest(of names: [ArraySlice<Unicode.Scalar>], in node: SchemaNode) -> Pattern {
        // Each name is followed to its end: breadth first, a rule for each node of the tree.
        let root = rule(.empty, in: node)
        var open = [(pattern: root, names: names)]
        while let (pattern, names) = open.popLast() {
            guard case .rule(let number) = pattern else { continue }
            let branches = Dictionary(grouping: names.filter { !$0.isEmpty }) { $0[$0.startIndex].value }
            let others = ScalarSet(branches.keys.map { $0...$0 }).inverted
            var parts = [Pattern.sequence([JSONText.escaped(others), stringEnd])]
            if !names.contains(where: { $0.isEmpty }) { parts.append(.text("\"")) }
            for (code, branch) in branches.sorted(by: { $0.key < $1.key }) {
                let child = rule(.empty, in: node)
                open.append((child, branch.map { $0.dropFirst() }))
                parts.append(.sequence([JSONText.escaped(ScalarSet(code)), child]))
            }
            setPattern(.alternatives(parts), of: number)
        }
        return root
    }
}
