// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Makes the grammar of the JSON documents that a schema describes. Each schema in it is a rule, so that nothing here
/// recurs as deep as schemas nest.
///
/// Source: JSON Schema draft 2020-12, Core and Validation.
struct SchemaCompiler {
    private(set) var grammar = Grammar()
    private let root: JSON
    /// Schemas whose rules have no pattern yet.
    private var open: [(rule: Int, schema: JSON, pointer: String)] = []
    /// The rules of what references name, by pointer.
    private var rulesOfReferences: [String: Int] = [:]
    /// Rules of JSON itself.
    private var rulesOfJSON: [String: Int] = [:]

    /// - Throws: `ConstraintError` with the pointer to what is not supported.
    static func grammar(of schema: JSON) throws(ConstraintError) -> Grammar {
        var compiler = SchemaCompiler(root: schema)
        _ = compiler.rule(of: schema, at: "#")
        while let (rule, schema, pointer) = compiler.open.popLast() {
            let pattern = try compiler.pattern(of: schema, at: pointer)
            compiler.grammar.rules[rule].pattern = pattern
            guard compiler.grammar.rules.count <= ConstraintLimits.rules else {
                throw ConstraintError(.pointer("#"), "too large: it needs more than \(ConstraintLimits.rules) rules")
            }
        }
        return compiler.grammar
    }

    private init(root: JSON) { self.root = root }

    // MARK: - Rules

    /// A rule for a schema; its pattern is made later.
    mutating func rule(of schema: JSON, at pointer: String) -> Pattern {
        let rule = add(.empty, named: pointer, at: pointer)
        open.append((rule, schema, pointer))
        return .rule(rule)
    }

    /// A rule for a part of a schema's pattern.
    mutating func rule(_ pattern: Pattern, in node: SchemaNode) -> Pattern {
        .rule(add(pattern, named: node.pointer, at: node.pointer))
    }

    mutating func setPattern(_ pattern: Pattern, of rule: Int) { grammar.rules[rule].pattern = pattern }

    private mutating func add(_ pattern: Pattern, named name: String, at pointer: String) -> Int {
        grammar.rules.append(.init(name: name, place: .pointer(pointer), pattern: pattern))
        return grammar.rules.count - 1
    }

    /// A rule of JSON, made when it is first needed.
    private mutating func json(_ name: String, _ make: (inout SchemaCompiler) -> Pattern) -> Pattern {
        if let known = rulesOfJSON[name] { return .rule(known) }
        let rule = add(.empty, named: name, at: "#")
        // Known before it is made, because values contain values.
        rulesOfJSON[name] = rule
        grammar.rules[rule].pattern = make(&self)
        return .rule(rule)
    }

    var space: Pattern { mutating get { json("space") { _ in JSONText.space } } }
    var character: Pattern { mutating get { json("character") { _ in JSONText.character } } }
    var integer: Pattern { mutating get { json("integer") { _ in JSONText.integer } } }
    var number: Pattern { mutating get { json("number") { _ in JSONText.number } } }
    /// The rest of a string, with its second quotation mark.
    var stringEnd: Pattern {
        mutating get {
            json("string end") {
                .sequence([.repeated($0.character, minimum: 0, maximum: nil), .text("\"")])
            }
        }
    }
    var string: Pattern { mutating get { .sequence([.text("\""), stringEnd]) } }
    var anyObject: Pattern {
        mutating get {
            json("object") {
                let member = Pattern.sequence([$0.string, JSONText.colon, $0.anyValue])
                return .sequence([.text("{"), $0.space, $0.list(member, minimum: 0, maximum: nil), .text("}")])
            }
        }
    }
    var anyArray: Pattern {
        mutating get {
            json("array") {
                .sequence([.text("["), $0.space, $0.list($0.anyValue, minimum: 0, maximum: nil), .text("]")])
            }
        }
    }
    var anyValue: Pattern {
        mutating get {
            json("value") {
                .alternatives([
                    $0.anyObject, $0.anyArray, $0.string, $0.number, .text("true"), .text("false"), .text("null"),
                ])
            }
        }
    }

    /// Elements with commas between them, and white space before the bracket that follows.
    mutating func list(_ element: Pattern, minimum: Int, maximum: Int?) -> Pattern {
        guard maximum != 0 else { return .empty }
        let more = Pattern.sequence([.text(","), space, element])
        let elements = Pattern.sequence([
            element, .repeated(more, minimum: max(minimum - 1, 0), maximum: maximum.map { $0 - 1 }), space,
        ])
        return minimum == 0 ? .optional(elements) : elements
    }

    // MARK: - Schemas

    private mutating func pattern(of schema: JSON, at pointer: String) throws(ConstraintError) -> Pattern {
        // Schemas that are merged with themselves have no end.
        guard pointer.utf8.count(where: { $0 == UInt8(ascii: "/") }) <= ConstraintLimits.steps else {
            throw ConstraintError(.pointer(pointer), "nested too deep, or a part of itself")
        }
        switch schema {
        case .bool(true): return anyValue
        case .bool(false): return .alternatives([])
        case .object(let members): return try pattern(of: SchemaNode(members, at: pointer))
        default:
            throw ConstraintError(.pointer(pointer), "a schema is an object, true or false")
        }
    }

    private mutating func pattern(of node: SchemaNode) throws(ConstraintError) -> Pattern {
        try node.checkKeywords()
        let assertions = node.assertions
        if assertions == ["$ref"] { return .rule(try rule(ofReferenceIn: node)) }
        if assertions.contains("$ref") || assertions.contains("allOf") {
            return try pattern(of: try SchemaMerge(root: root).flattened(node))
        }
        for keyword in ["anyOf", "oneOf"] where assertions.contains(keyword) {
            return try alternatives(keyword, of: node)
        }
        if let values = try node.values() { return try pattern(of: values, in: node) }
        return try patternOfTypes(node)
    }

    private mutating func rule(ofReferenceIn node: SchemaNode) throws(ConstraintError) -> Int {
        let (pointer, schema) = try SchemaReference.resolve(node, in: root)
        if let known = rulesOfReferences[pointer] { return known }
        // The whole schema is the first rule.
        if pointer == "#" { return 0 }
        let rule = add(.empty, named: pointer, at: pointer)
        open.append((rule, schema, pointer))
        rulesOfReferences[pointer] = rule
        return rule
    }

    /// `anyOf` or `oneOf`, each alternative together with what stands beside the keyword.
    private mutating func alternatives(
        _ keyword: String, of node: SchemaNode
    ) throws(ConstraintError) -> Pattern {
        guard let schemas = node[keyword]?.array, !schemas.isEmpty else {
            throw node.error("a list with at least one schema is needed", in: keyword)
        }
        if keyword == "oneOf" { try SchemaOverlap(root: root).refuse(in: schemas, of: node) }
        var beside = node
        beside.members.removeAll { $0.key == keyword }
        let isAlone = beside.assertions.isEmpty
        var parts: [Pattern] = []
        for (i, schema) in schemas.enumerated() {
            let pointer = SchemaNode.pointer(SchemaNode.pointer(node.pointer, keyword), "\(i)")
            let whole = isAlone ? schema : .object([("allOf", .array([.object(beside.members), schema]))])
            parts.append(rule(of: whole, at: pointer))
        }
        return .alternatives(parts)
    }

    /// The values of `const` or `enum`, in the one spelling that JSON without white space gives them.
    private func pattern(of values: [JSON], in node: SchemaNode) throws(ConstraintError) -> Pattern {
        let known = ["const", "enum", "type"]
        if let other = node.assertions.first(where: { !known.contains($0) }) {
            throw node.error(
                "\(JSON.quoted(other)) beside const or enum is not supported; leave one of them out", in: other)
        }
        var wanted = values
        if node["const"] != nil, let list = node["enum"]?.array {
            wanted.removeAll { value in !list.contains { $0.canonical == value.canonical } }
        }
        if let types = try node.types() {
            wanted.removeAll { value in
                !types.contains(value.schemaType) && !(value.schemaType == "integer" && types.contains("number"))
            }
        }
        guard !wanted.isEmpty else { throw node.error("no value of const or enum fits what stands beside it") }
        for value in wanted { try checkExact(value, in: node) }
        return .alternatives(wanted.map { .text($0.compact) })
    }

    /// Numbers that a double does not hold are not known exactly.
    private func checkExact(_ value: JSON, in node: SchemaNode) throws(ConstraintError) {
        switch value {
        case .double(let number) where number.magnitude >= 0x1p53:
            throw node.error("a number of const or enum is too large to be exact")
        case .array(let values): for value in values { try checkExact(value, in: node) }
        case .object(let members): for member in members { try checkExact(member.value, in: node) }
        default: break
        }
    }

    // MARK: - Types

    private mutating func patternOfTypes(_ node: SchemaNode) throws(ConstraintError) -> Pattern {
        let given = try node.types()
        // Without a type, those whose keywords are there.
        let types =
            given ?? SchemaNode.keywordsOfType.filter { $0.keywords.contains { node[$0] != nil } }.map { $0.type }
        if types.isEmpty { return anyValue }
        for (type, keywords) in SchemaNode.keywordsOfType
        where !types.contains(type) && !(type == "number" && types.contains("integer")) {
            guard let idle = keywords.first(where: { node[$0] != nil }) else { continue }
            throw node.error("\(JSON.quoted(idle)) says something of a \(type), which the type excludes", in: idle)
        }
        var parts: [Pattern] = []
        for type in types {
            switch type {
            case "null": parts.append(.text("null"))
            case "boolean": parts += [.text("true"), .text("false")]
            case "integer" where types.contains("number"): break
            case "integer": parts.append(try integer(node))
            case "number": parts.append(try number(node))
            case "string": parts.append(try string(node))
            case "array": parts.append(try array(node))
            default: parts.append(try object(node))
            }
        }
        return .alternatives(parts)
    }
}
