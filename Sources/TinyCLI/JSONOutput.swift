import TinySparse

extension JSON {
    /// The value as text, members on lines of their own down to `depth`.
    func text(depth: Int = 1, indent: String = "") -> String {
        func list(_ open: String, _ items: [String], _ close: String) -> String {
            if items.isEmpty || depth <= 0 { return open + items.joined(separator: ", ") + close }
            let inner = indent + "  "
            return open + "\n" + items.map { inner + $0 }.joined(separator: ",\n") + "\n" + indent + close
        }
        func inner(_ value: JSON) -> String { value.text(depth: depth - 1, indent: indent + "  ") }
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return "\(value)"
        // JSON has no infinities.
        case .double(let value): return value.isFinite ? "\(value)" : "null"
        case .string(let value): return JSON.quoted(value)
        case .array(let values): return list("[", values.map(inner), "]")
        case .object(let members):
            return list("{", members.map { JSON.quoted($0.key) + ": " + inner($0.value) }, "}")
        }
    }

    static func number(_ value: Int) -> JSON { .integer(Int64(value)) }
    static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    static func optional(_ value: Int32?) -> JSON { value.map { .integer(Int64($0)) } ?? .null }
}
