// SPDX-License-Identifier: Apache-2.0

/// What the source of a scope does with names. Jinja decides by it what the scopes within see of a variable that is assigned
/// further down: nothing, if assigning it is the first thing that the scope itself does with the name, whatever the variable
/// of that name that the template was given.
///
/// Source: jinja2 3.1, `idtracking.py`.
struct ScopeNames {
    let parent: Int?
    /// How many branches of conditions the parser is in.
    var branches = 0
    /// The names that the scope itself reads or assigns.
    private(set) var used: Set<String> = []
    /// Those of which an assignment comes first, and is not in a branch.
    private var assignedFirst: [String] = []

    init(parent: Int?) { self.parent = parent }

    mutating func use(_ name: String) { used.insert(name) }

    mutating func assign(_ name: String) {
        if used.insert(name).inserted, branches == 0 { assignedFirst.append(name) }
    }

    /// For each scope, the names that have no value before the scope assigns one: those that no scope around it uses.
    static func hidden(_ scopes: [ScopeNames]) -> [[String]] {
        scopes.map { scope in
            scope.assignedFirst.filter { name in
                var outer = scope.parent
                while let index = outer {
                    if scopes[index].used.contains(name) { return false }
                    outer = scopes[index].parent
                }
                return true
            }
        }
    }
}

extension Parser {
    /// Opens a scope within the present one, which the caller closes by setting `scope` back.
    /// - Parameter parameters: what is assigned when the scope is entered.
    mutating func openScope(_ parameters: Target? = nil) {
        scopes.append(ScopeNames(parent: scope))
        scope = scopes.count - 1
        if let parameters { forEachName(parameters) { $0.use($1) } }
    }

    /// Notes what an assignment sets.
    mutating func note(assigned target: Target) { forEachName(target) { $0.assign($1) } }

    private mutating func forEachName(_ target: Target, _ body: (inout ScopeNames, String) -> Void) {
        switch target {
        case .name(let name): body(&scopes[scope], name)
        case .tuple(let targets): for target in targets { forEachName(target, body) }
        case .attribute(let name, _): scopes[scope].use(name)
        }
    }
}
