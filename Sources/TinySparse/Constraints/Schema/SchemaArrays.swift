// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension SchemaCompiler {
    /// Arrays: first the elements of `prefixItems`, or of a list in `items`, then as many of `items` as wanted.
    mutating func array(_ node: SchemaNode) throws(ConstraintError) -> Pattern {
        let keywords = ["items", "prefixItems", "minItems", "maxItems"]
        guard keywords.contains(where: { node[$0] != nil }) else { return anyArray }
        let most = try node.count("maxItems")
        let (prefix, isList) = try prefixItems(node)
        let first = Array(prefix.prefix(most ?? prefix.count))
        let rest = try restOfItems(node, isList: isList, hasPrefix: !prefix.isEmpty)
        let least = try node.count("minItems") ?? first.count
        guard least <= most ?? least else { throw node.error("no array has a length within the bounds") }
        guard rest != nil || least <= first.count else {
            throw node.error("more elements than are described; describe them with items", in: "minItems")
        }
        let open = Pattern.sequence([.text("["), space])
        guard !first.isEmpty else {
            let elements = rest.map { list($0, minimum: least, maximum: most) } ?? .empty
            return .sequence([open, elements, .text("]")])
        }
        // From the last element to the first: what can come after so many.
        let close = Pattern.sequence([space, .text("]")])
        var after = close
        if let rest, most.map({ $0 > first.count }) ?? true {
            let more = Pattern.sequence([.text(","), space, rest])
            let count = max(least - first.count, 0)
            after = .sequence([.repeated(more, minimum: count, maximum: most.map { $0 - first.count }), close])
        }
        for (i, element) in first.enumerated().reversed() {
            let next = Pattern.sequence([
                i > 0 ? .sequence([.text(","), space]) : .empty, element, rule(after, in: node),
            ])
            let end = i == 0 ? Pattern.text("]") : close
            after = i >= least ? .alternatives([next, end]) : next
        }
        return .sequence([open, after])
    }

    /// - Returns: the schemas of the first elements, and whether they stand in `items`, as in older drafts.
    private mutating func prefixItems(_ node: SchemaNode) throws(ConstraintError) -> ([Pattern], isList: Bool) {
        let isList = node["items"]?.array != nil
        let keyword = isList ? "items" : "prefixItems"
        guard let value = node[keyword] else { return ([], false) }
        guard let schemas = value.array, !schemas.isEmpty, !isList || node["prefixItems"] == nil else {
            throw node.error("a list with at least one schema is needed, once", in: keyword)
        }
        let pointer = SchemaNode.pointer(node.pointer, keyword)
        var rules: [Pattern] = []
        for (i, schema) in schemas.enumerated() {
            rules.append(rule(of: schema, at: SchemaNode.pointer(pointer, "\(i)")))
        }
        return (rules, isList)
    }

    /// The schema of the elements after the first ones; nil if there are none.
    private mutating func restOfItems(
        _ node: SchemaNode, isList: Bool, hasPrefix: Bool
    ) throws(ConstraintError) -> Pattern? {
        guard !isList, let schema = node["items"] else { return hasPrefix ? nil : anyValue }
        if schema.bool == false { return nil }
        return rule(of: schema, at: SchemaNode.pointer(node.pointer, "items"))
    }
}
