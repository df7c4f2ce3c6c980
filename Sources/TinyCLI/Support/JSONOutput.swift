// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension JSON {
    /// The value as text, one member per line down to `depth`.
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
        case .string(let value): return JSON.safelyQuoted(value)
        case .array(let values): return list("[", values.map(inner), "]")
        case .object(let members):
            return list("{", members.map { JSON.safelyQuoted($0.key) + ": " + inner($0.value) }, "}")
        }
    }

    private static func safelyQuoted(_ text: String) -> String { escapingControls(quoted(text)) }

    /// JSON text with escapes for the characters that JSON leaves as they are and terminals interpret.
    static func escapingControls(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.isTerminalControl {
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    static func number(_ value: Int) -> JSON { .integer(Int64(value)) }
    static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    static func optional(_ value: Int32?) -> JSON { value.map { .integer(Int64($0)) } ?? .null }
}
