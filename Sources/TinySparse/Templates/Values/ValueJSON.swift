// SPDX-License-Identifier: Apache-2.0

/// How `tojson` writes: the arguments that transformers gives Python's `json.dumps`.
struct JSONStyle {
    var escapesNonASCII = false
    /// What a level is indented by; nil for everything on one line.
    var indent: [Scalar]?
    var itemSeparator: [Scalar]
    var keySeparator: [Scalar] = Text(": ").scalars
    var sortsKeys = false
}

extension Interpreter {
    /// A value as `json.dumps` writes it.
    /// - Throws: `TemplateError` for values that have no JSON.
    func writeJSON(
        _ value: Value, _ style: JSONStyle, level: Int = 0, into out: inout [Scalar]
    ) throws(TemplateError) {
        try descend()
        defer { ascend() }
        let before = out.count
        switch value {
        case .none: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .integer(let value): out += "\(value)"
        case .double(let value): out += jsonText(value)
        case .string(let text): quote(text.scalars, style, into: &out)
        case .list(let items), .tuple(let items):
            try bracket("[", items.count, "]", style, level, into: &out) { (index, out) throws(TemplateError) in
                try writeJSON(items.values[index], style, level: level + 1, into: &out)
            }
        case .dictionary(let mapping):
            let order = try style.sortsKeys ? sorted(mapping.keys) : Array(0..<mapping.count)
            try bracket("{", mapping.count, "}", style, level, into: &out) { (index, out) throws(TemplateError) in
                try quoteKey(mapping.keys[order[index]], style, into: &out)
                out += style.keySeparator
                try writeJSON(mapping.values[order[index]], style, level: level + 1, into: &out)
            }
        default: throw fail(.type, "tojson: a value of the type \(value.typeName) cannot be written as JSON")
        }
        try charge(out.count - before)
    }

    private func bracket(
        _ opening: String, _ count: Int, _ closing: String, _ style: JSONStyle, _ level: Int,
        into out: inout [Scalar],
        _ element: (Int, inout [Scalar]) throws(TemplateError) -> Void
    ) throws(TemplateError) {
        out += opening
        for index in 0..<count {
            if index > 0 { out += style.itemSeparator }
            try breakLine(style, level + 1, into: &out)
            try element(index, &out)
        }
        if count > 0 { try breakLine(style, level, into: &out) }
        out += closing
    }

    private func breakLine(_ style: JSONStyle, _ level: Int, into out: inout [Scalar]) throws(TemplateError) {
        guard let indent = style.indent else { return }
        out.append(Scalar(0x0A))
        for _ in 0..<level {
            try charge(indent.count)
            out += indent
        }
    }

    private func quoteKey(_ key: Value, _ style: JSONStyle, into out: inout [Scalar]) throws(TemplateError) {
        switch key {
        case .string(let text): quote(text.scalars, style, into: &out)
        case .none: quote(Text("null").scalars, style, into: &out)
        case .bool(let value): quote(Text(value ? "true" : "false").scalars, style, into: &out)
        case .integer(let value): quote(Text("\(value)").scalars, style, into: &out)
        case .double(let value): quote(Text(jsonText(value)).scalars, style, into: &out)
        default: throw fail(.type, "tojson: a key of the type \(key.typeName) cannot be written as JSON")
        }
    }

    private func jsonText(_ value: Double) -> String {
        value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : value.pythonText
    }

    private func quote(_ text: [Scalar], _ style: JSONStyle, into out: inout [Scalar]) {
        out.append(Scalar(0x22))
        for scalar in text {
            let short: UInt32? =
                switch scalar.code {
                case 0x22, 0x5C: scalar.code
                case 0x0A: 0x6E
                case 0x0D: 0x72
                case 0x09: 0x74
                case 0x08: 0x62
                case 0x0C: 0x66
                default: nil
                }
            if let short {
                out += [scalar.replaced(by: 0x5C), scalar.replaced(by: short)]
            } else if scalar.code >= 0x20 && (scalar.code < 0x7F || !style.escapesNonASCII) {
                out.append(scalar)
            } else if scalar.code < 0x10000 {
                unit(scalar.code, scalar, into: &out)
            } else {
                unit(0xD800 + (scalar.code - 0x10000) >> 10, scalar, into: &out)
                unit(0xDC00 + (scalar.code - 0x10000) & 0x3FF, scalar, into: &out)
            }
        }
        out.append(Scalar(0x22))
    }

    private func unit(_ code: UInt32, _ origin: Scalar, into out: inout [Scalar]) {
        out += [origin.replaced(by: 0x5C), origin.replaced(by: 0x75)]
        origin.appendHex(code, digits: 4, into: &out)
    }
}
