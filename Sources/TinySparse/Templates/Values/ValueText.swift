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
        switch value {
        case .undefined: out += "Undefined"
        case .none: out += "None"
        case .bool(let value): out += value ? "True" : "False"
        case .integer(let value): out += "\(value)"
        case .double(let value): out += value.pythonText
        case .string(let text): try represent(text, into: &out)
        case .list(let items): try enclose("[", items.values, "]", into: &out)
        case .tuple(let items): try enclose("(", items.values, items.count == 1 ? ",)" : ")", into: &out)
        case .dictionary(let mapping): try represent(mapping, into: &out)
        case .range(let range):
            let step = range.step == 1 ? "" : ", \(range.step)"
            // Where an empty range was meant to end is forgotten.
            guard range.count > 0 || range.step == 1 && range.start == 0 else {
                throw fail(.unsupported, "an empty range has no text here")
            }
            guard range.count == 0 || range.step.magnitude == 1 else {
                throw fail(.unsupported, "a range with a step has no text here; make a list of it")
            }
            out += "range(\(range.start), \(range.start + range.count * range.step)\(step))"
        case .view(let kind, let mapping):
            out += value.typeName + "("
            switch kind {
            case .keys: try enclose("[", mapping.keys, "])", into: &out)
            case .values: try enclose("[", mapping.values, "])", into: &out)
            case .items: try enclose("[", mapping.items, "])", into: &out)
            }
        case .namespace(let index):
            out += "<Namespace "
            try represent(namespaces[index], into: &out)
            out += ">"
        case .macro, .iterator, .loop, .function, .method:
            throw fail(.unsupported, "a value of the type \(value.typeName) has no text here")
        }
        try charge(out.count - before)
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

    private func represent(_ text: Text, into out: inout [Scalar]) throws(TemplateError) {
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
