// SPDX-License-Identifier: Apache-2.0

/// Runs a template once. Whatever a template does is counted and limited here.
final class Interpreter {
    private let limits: TemplateLimits
    let hidden: [[String]]
    let time: TemplateTime
    /// The line of the statement or expression at work, for errors.
    var line = 0
    private var work = 0
    private var depth = 0
    /// The text written so far, of the template or of the block that is captured.
    private var output: [Scalar] = []
    var scope: Scope
    /// The namespaces made so far. Values name them by their place here.
    var namespaces: [Mapping] = []
    private(set) var macros: [MacroValue] = []

    /// A macro and the variables that were visible where it was defined.
    struct MacroValue {
        let macro: MacroStatement
        let scope: Scope
    }

    /// - Parameter hidden: for each scope, the names that have no value in it before it assigns one.
    init(
        variables: [(name: String, value: Value)], hidden: [[String]], limits: TemplateLimits, time: TemplateTime
    ) {
        self.limits = limits
        self.hidden = hidden
        self.time = time
        let globals = Scope(parent: nil)
        for function in GlobalFunction.allCases { globals.set(function.rawValue, .function(function)) }
        for (name, value) in variables { globals.set(name, value) }
        scope = Scope(parent: globals)
    }

    /// The text that a template writes.
    /// - Throws: `TemplateError`.
    func render(_ body: Body) throws(TemplateError) -> [Scalar] {
        _ = try run(body)
        return output
    }

    // MARK: Limits

    /// Counts work, in characters copied.
    func charge(_ units: Int) throws(TemplateError) {
        let (sum, overflow) = work.addingReportingOverflow(units)
        guard !overflow, sum <= limits.work else {
            throw fail(.limit, "the template needs more than \(limits.work) units of work or memory")
        }
        work = sum
    }

    /// Counts the elements of a new list.
    func charge(elements count: Int) throws(TemplateError) {
        let (units, overflow) = count.multipliedReportingOverflow(by: 16)
        try charge(overflow ? .max : units)
    }

    /// Counts reading a text: to look it up, or to make a name or a number of it.
    func charge(reading value: Value) throws(TemplateError) {
        if case .string(let text) = value { try charge(text.count) }
    }

    func descend(_ levels: Int = 1) throws(TemplateError) {
        guard depth + levels <= limits.depth else {
            throw fail(.limit, "the template nests deeper than \(limits.depth) levels")
        }
        depth += levels
        try charge(4)
    }

    func ascend(_ levels: Int = 1) { depth -= levels }

    func fail(_ kind: TemplateError.Kind, _ reason: String) -> TemplateError {
        TemplateError(kind, line: line, reason)
    }

    // MARK: Values

    func list(_ values: [Value]) throws(TemplateError) -> Value { .list(try items(values)) }

    func items(_ values: [Value]) throws(TemplateError) -> Items {
        try charge(elements: values.count)
        let items = Items(values)
        try check(depth: items.depth)
        return items
    }

    /// A generator of values that are there already.
    func iterator(_ values: [Value]) throws(TemplateError) -> Value {
        let items = try items(values)
        return .iterator(ItemIterator(items))
    }

    func check(depth: Int) throws(TemplateError) {
        guard depth <= TemplateLimits.valueDepth else {
            throw fail(.limit, "values are nested deeper than \(TemplateLimits.valueDepth) levels")
        }
    }

    /// Adds a member to a dictionary.
    func set(_ key: Value, _ value: Value, in mapping: inout Mapping) throws(TemplateError) {
        try charge(elements: 4)
        try charge(reading: key)
        guard mapping.set(key, value) else {
            throw fail(
                try isHashable(key) ? .unsupported : .type,
                "a value of the type \(key.typeName) cannot be the key of a dictionary here")
        }
        try check(depth: mapping.depth)
    }

    // MARK: Output

    func write(_ scalars: [Scalar]) throws(TemplateError) {
        try charge(scalars.count)
        guard output.count + scalars.count <= limits.output else {
            throw fail(.limit, "the template writes more than \(limits.output) characters")
        }
        output += scalars
    }

    /// What `body` writes, instead of writing it.
    func capture(_ body: () throws(TemplateError) -> Void) throws(TemplateError) -> [Scalar] {
        var captured: [Scalar] = []
        swap(&captured, &output)
        defer { swap(&captured, &output) }
        try body()
        return output
    }

    // MARK: Variables

    /// Runs `body` with variables of its own, which are gone afterwards.
    func scoped<T>(
        in parent: Scope? = nil, _ body: () throws(TemplateError) -> T
    ) throws(TemplateError) -> T {
        try charge(16)
        let outer = scope
        scope = Scope(parent: parent ?? outer)
        defer { scope = outer }
        return try body()
    }

    /// A macro as a value; it sees the variables of the present scope.
    func define(_ macro: MacroStatement) throws(TemplateError) -> Value {
        try charge(elements: 4)
        macros.append(MacroValue(macro: macro, scope: scope))
        return .macro(macros.count - 1)
    }
}

/// The variables of a block, and those around it.
final class Scope {
    private var variables: [String: Value] = [:]
    private let parent: Scope?

    init(parent: Scope?) { self.parent = parent }

    subscript(name: String) -> Value? {
        var scope: Scope? = self
        while let here = scope {
            if let value = here.variables[name] { return value }
            scope = here.parent
        }
        return nil
    }

    func set(_ name: String, _ value: Value) { variables[name] = value }
}
