// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension Value {
    /// A value of a template out of JSON, all its texts marked as inputs.
    /// - Throws: `TemplateError` for nesting deeper than `TemplateLimits.valueDepth`, and for a number that no 64 bits hold.
    package init(_ json: JSON) throws(TemplateError) { self = try Self.value(json, depth: 0) }

    private static func value(_ json: JSON, depth: Int) throws(TemplateError) -> Value {
        guard depth < TemplateLimits.valueDepth else {
            throw TemplateError(input: "the inputs are nested deeper than \(TemplateLimits.valueDepth) levels")
        }
        switch json {
        case .null: return .none
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(Int(value))
        case .double(let value):
            // JSON knows one kind of number, and such a whole number would lose digits.
            guard abs(value) < 0x1p63 else {
                throw TemplateError(input: "the number \(value) in the inputs does not fit in 64 bits")
            }
            return .double(value)
        case .string(let text): return .string(Text(text, isInput: true))
        case .array(let elements):
            var values: [Value] = []
            for element in elements { values.append(try value(element, depth: depth + 1)) }
            return .list(Items(values))
        case .object(let members):
            var mapping = Mapping()
            for (key, member) in members {
                mapping.set(.string(Text(key, isInput: true)), try value(member, depth: depth + 1))
            }
            return .dictionary(mapping)
        }
    }
}
