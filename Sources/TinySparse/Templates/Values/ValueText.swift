// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    /// Python's `str` of a value.
    func text(_ value: Value) throws(TemplateError) -> Text {
        switch value {
        case .string(let text): return text
        case .undefined: return Text([])
        default:
            var out: [Scalar] = []
            try represent(value, into: &out)
            return Text(out)
        }
    }

    /// Python's `repr` of a value. Charges what it writes, because shared parts of a value are written more than once.
    func represent(_ value: Value, into out: inout [Scalar]) throws(TemplateError) {
        try descend()
        defer { ascend() }
        let before = out.count
        if case .string(let text) = value {
            represent(text, into: &out)
        } else if let text = try plainText(value) {
            out += text
        } else if case .dictionary(let mapping) = value {
            try represent(mapping, into: &out)
        } else {
            let (opening, values, closing) = try parts(of: value)
            try enclose(opening, values, closing, into: &out)
        }
        try charge(out.count - before)
    }

    /// The text of a value without elements; nil for others.
    private func plainText(_ value: Value) throws(TemplateError) -> String? {
        switch value {
        case .undefined: return "Undefined"
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .integer(let value): return "\(value)"
        case .double(let value): return value.pythonText
        case .range(let range): return try text(range)
        case .macro, .iterator, .loop, .function, .method:
            throw fail(.unsupported, "a value of the type \(value.typeName) has no text here")
        default: return nil
        }
    }

    /// Where an empty range was meant to end, and one whose last step is cut, is forgotten.
    private func text(_ range: Progression) throws(TemplateError) -> String {
        guard range.step == 1, range.count > 0 || range.start == 0 else {
            throw fail(.unsupported, "a range that is empty or has a step has no text here; make a list of it")
        }
        return "range(\(range.start), \(range.start + range.count))"
    }

    /// The elements of a value, and what is written around them.
    private func parts(of value: Value) throws(TemplateError) -> (opening: String, values: [Value], closing: String) {
        switch value {
        case .list(let items): ("[", items.values, "]")
        case .tuple(let items): ("(", items.values, items.count == 1 ? ",)" : ")")
        case .namespace(let index): ("<Namespace ", [.dictionary(namespaces[index])], ">")
        default: (value.typeName + "([", try elements(of: value), "])")
        }
    }

    private func represent(_ mapping: Mapping, into out: inout [Scalar]) throws(TemplateError) {
        out += "{"
        for index in 0..<mapping.count {
            if index > 0 { out += ", " }
            try represent(mapping.keys[index], into: &out)
            out += ": "
            try represent(mapping.values[index], into: &out)
        }
        out += "}"
    }

    private func enclose(
        _ opening: String, _ values: [Value], _ closing: String, into out: inout [Scalar]
    ) throws(TemplateError) {
        out += opening
        for (index, value) in values.enumerated() {
            if index > 0 { out += ", " }
            try represent(value, into: &out)
        }
        out += closing
    }

    private func represent(_ text: Text, into out: inout [Scalar]) {
        let hasSingle = text.scalars.contains { $0.code == 0x27 }
        let quote: UInt32 = hasSingle && !text.scalars.contains { $0.code == 0x22 } ? 0x22 : 0x27
        if text.isMarkup { out += "Markup(" }
        out.append(Scalar(quote))
        for scalar in text.scalars {
            switch scalar.code {
            case quote, 0x5C: out += [scalar.replaced(by: 0x5C), scalar]
            case 0x0A: out += [scalar.replaced(by: 0x5C), scalar.replaced(by: 0x6E)]
            case 0x0D: out += [scalar.replaced(by: 0x5C), scalar.replaced(by: 0x72)]
            case 0x09: out += [scalar.replaced(by: 0x5C), scalar.replaced(by: 0x74)]
            default:
                if scalar.isPrintable {
                    out.append(scalar)
                } else {
                    scalar.escape(into: &out)
                }
            }
        }
        out.append(Scalar(quote))
        if text.isMarkup { out += ")" }
    }
}

extension Scalar {
    /// `\x00`, `\u0000` or `\U00000000`, as Python writes it.
    fileprivate func escape(into out: inout [Scalar]) {
        let (letter, digits): (UInt32, Int) = code < 0x100 ? (0x78, 2) : code < 0x10000 ? (0x75, 4) : (0x55, 8)
        out += [replaced(by: 0x5C), replaced(by: letter)]
        appendHex(code, digits: digits, into: &out)
    }

    /// A number in hexadecimal digits of this scalar's origin.
    func appendHex(_ number: UInt32, digits: Int, into out: inout [Scalar]) {
        for place in (0..<digits).reversed() {
            let digit = number >> UInt32(4 * place) & 15
            out.append(replaced(by: digit < 10 ? 0x30 + digit : 0x57 + digit))
        }
    }
}
