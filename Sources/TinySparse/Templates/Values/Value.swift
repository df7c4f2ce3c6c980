// SPDX-License-Identifier: Apache-2.0

/// A value of a template, with Python's meaning. The sandbox that chat templates run in forbids to change lists and
/// dictionaries, so they are values here as well; what does change (namespaces) belongs to the interpreter and is named by a
/// number, so that no value can contain itself.
package indirect enum Value {
    /// What a missing variable or member yields; the reason is for the error when it is used.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case double(Double)
    case string(Text)
    case list(Items)
    case tuple(Items)
    case dictionary(Mapping)
    case range(Progression)
    /// The keys, values or items of a dictionary.
    case view(ViewKind, Mapping)
    /// A generator: a sequence that is read once.
    case iterator(ItemIterator)
    case namespace(Int)
    case macro(Int)
    case loop(Loop)
    case function(GlobalFunction)
    case method(Value, String)

    package enum ViewKind { case keys, values, items }

    package static func string(_ text: String) -> Value { .string(Text(text)) }
    static func string(_ scalars: [Scalar]) -> Value { .string(Text(scalars)) }
    static func string(_ scalars: ArraySlice<Scalar>) -> Value { .string(Text(Array(scalars))) }

    /// A list of values.
    package init(list values: [Value]) { self = .list(Items(values)) }

    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .double: "float"
        case .string(let text): text.isMarkup ? "Markup" : "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .range: "range"
        case .view(.keys, _): "dict_keys"
        case .view(.values, _): "dict_values"
        case .view(.items, _): "dict_items"
        case .iterator: "generator"
        case .namespace: "Namespace"
        case .macro: "Macro"
        case .loop: "LoopContext"
        case .function: "function"
        case .method: "method"
        }
    }

    /// How deep values are nested in this one. Lists and dictionaries know it, so this takes constant time but for the chain
    /// of a method of a method.
    var depth: Int {
        switch self {
        case .list(let items), .tuple(let items): items.depth
        case .dictionary(let mapping), .view(_, let mapping): mapping.depth
        case .iterator(let iterator): iterator.depth
        case .loop(let loop): loop.items.depth + 1
        case .method(let receiver, _): receiver.depth + 1
        default: 0
        }
    }

    /// A whole number; truth values are numbers.
    var wholeNumber: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }
    var isNone: Bool { if case .none = self { true } else { false } }
}

/// The elements of a list or tuple, and how deep they are nested.
package struct Items {
    let values: [Value]
    let depth: Int

    init(_ values: [Value]) {
        self.values = values
        depth = 1 + values.reduce(0) { max($0, $1.depth) }
    }

    var count: Int { values.count }
}

/// A dictionary in the order of insertion.
package struct Mapping {
    /// What a key is compared by. 1, 1.0 and true are one key.
    enum Key: Hashable {
        case undefined
        case none
        case integer(Int)
        case double(UInt64)
        case string([Scalar])

        /// nil for values that are no keys here.
        init?(_ value: Value) {
            switch value {
            case .undefined: self = .undefined
            case .none: self = .none
            case .bool(let value): self = .integer(value ? 1 : 0)
            case .integer(let value): self = .integer(value)
            case .double(let value):
                self = Int(exactly: value).map { .integer($0) } ?? .double(value.bitPattern)
            case .string(let text): self = .string(text.scalars)
            default: return nil
            }
        }
    }

    private(set) var keys: [Value] = []
    private(set) var values: [Value] = []
    private(set) var depth = 1
    private var places: [Key: Int] = [:]

    var count: Int { keys.count }

    /// The value of a key; nil if there is none, also for what can be no key.
    subscript(key: Value) -> Value? { Key(key).flatMap { places[$0] }.map { values[$0] } }

    package subscript(name name: String) -> Value? { self[.string(name)] }

    /// Sets the value of a key, which keeps its place if it has one; false for what can be no key.
    @discardableResult
    package mutating func set(_ key: Value, _ value: Value) -> Bool {
        guard let found = Key(key) else { return false }
        depth = max(depth, value.depth + 1)
        if let place = places[found] {
            values[place] = value
        } else {
            places[found] = keys.count
            keys.append(key)
            values.append(value)
        }
        return true
    }

    package init() {}

    package mutating func set(_ name: String, _ value: Value) { set(.string(name), value) }

    /// The keys and values as tuples.
    var items: [Value] { zip(keys, values).map { .tuple(Items([$0, $1])) } }
}

/// Python's `range`.
package struct Progression: Equatable {
    let start: Int
    let step: Int
    let count: Int

    subscript(index: Int) -> Int { start + index * step }
    var values: [Value] { (0..<count).map { .integer(self[$0]) } }
}

/// Items that are read one after the other, once.
package final class ItemIterator {
    private let items: [Value]
    private var position = 0
    let depth: Int

    init(_ items: Items) {
        self.items = items.values
        depth = items.depth
    }

    func next() -> Value? {
        guard position < items.count else { return nil }
        position += 1
        return items[position - 1]
    }

    var rest: [Value] {
        defer { position = items.count }
        return Array(items[position...])
    }
}
