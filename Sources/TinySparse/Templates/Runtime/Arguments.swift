// SPDX-License-Identifier: Apache-2.0

/// The arguments of a call.
struct Arguments {
    var positional: [Value] = []
    var named: [(name: String, value: Value)] = []

    var count: Int { positional.count + named.count }
}

/// Arguments in the order of a function's parameters.
struct BoundArguments {
    fileprivate let function: String
    fileprivate let names: [String]
    private let values: [Value?]

    fileprivate init(function: String, names: [String], values: [Value?]) {
        self.function = function
        self.names = names
        self.values = values
    }

    /// An argument; nil if it was not given.
    subscript(index: Int) -> Value? { values[index] }

    fileprivate func name(_ index: Int) -> String { "\(function): the argument '\(names[index])'" }
}

extension Interpreter {
    /// Arguments in the order of the parameters `names`, of which the first `required` have to be given and those before
    /// `firstNamed` have no name in a call.
    func bind(
        _ arguments: Arguments, of function: String, _ names: [String], required: Int = 0, firstNamed: Int = 0
    ) throws(TemplateError) -> BoundArguments {
        guard arguments.positional.count <= names.count else {
            throw fail(.type, "\(function): \(arguments.positional.count) arguments are too many")
        }
        var values: [Value?] = arguments.positional.map { .some($0) }
        for _ in values.count..<names.count { values.append(nil) }
        for (name, value) in arguments.named {
            guard let index = names.firstIndex(of: name), index >= firstNamed, values[index] == nil else {
                throw fail(.type, "\(function): unexpected argument '\(name)'")
            }
            values[index] = value
        }
        for index in 0..<required where values[index] == nil {
            throw fail(.type, "\(function): the argument '\(names[index])' is missing")
        }
        return BoundArguments(function: function, names: names, values: values)
    }

    func text(_ arguments: BoundArguments, _ index: Int) throws(TemplateError) -> Text? {
        switch arguments[index] {
        case nil: return nil
        case .string(let text)?: return text
        case let value?: throw fail(.type, "\(arguments.name(index)) is no text, but \(value.typeName)")
        }
    }

    func wholeNumber(_ arguments: BoundArguments, _ index: Int) throws(TemplateError) -> Int? {
        guard let value = arguments[index] else { return nil }
        guard let number = value.wholeNumber else {
            throw fail(.type, "\(arguments.name(index)) is no whole number, but \(value.typeName)")
        }
        return number
    }

    func isTrue(_ arguments: BoundArguments, _ index: Int) -> Bool { arguments[index].map(isTrue) ?? false }
}
