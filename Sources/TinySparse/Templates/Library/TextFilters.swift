// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    /// Filters of a text without arguments. `value` is what the text was made of.
    func applyToText(_ filter: Filter, _ text: Text, isText value: Value) throws(TemplateError) -> Value {
        try charge(text.count)
        let all = text.scalars[...]
        switch filter {
        case .upper: return marked(all.uppercased, like: text)
        case .lower: return marked(all.lowercased, like: text)
        case .capitalize: return marked(all.capitalized, like: text)
        case .title: return .string(titled(all))
        case .forceescape: return .string(escaped(Text(text.scalars)))
        default: return .string(escaped(text))
        }
    }

    /// Filters of a text with arguments.
    func applyToText(_ filter: Filter, _ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        switch filter {
        case .trim:
            let chars = try bind(arguments, of: "trim", ["chars"])[0] ?? .none
            return try method("strip", of: .string(text(value)), Arguments(positional: [chars]))
        case .replace:
            let bound = try bind(arguments, of: "replace", ["old", "new", "count"], required: 2)
            let limit = bound[2].map { $0.isNone } ?? true ? -1 : try wholeNumber(bound, 2) ?? -1
            return .string(
                try replace(text(value), text(bound[0] ?? .none), text(bound[1] ?? .none), limit: limit))
        case .center:
            let width = try bind(arguments, of: "center", ["width"])[0] ?? .integer(80)
            return try pad(text(value), "center", Arguments(positional: [width]))
        case .format:
            guard case .string(let pattern) = value, arguments.named.isEmpty else {
                throw fail(.unsupported, "format: a text and arguments without names are needed")
            }
            return .string(try formatted(pattern, with: .tuple(items(arguments.positional))))
        case .truncate: return try truncate(value, arguments)
        default: return .string(try indent(value, arguments))
        }
    }

    /// A text with the characters replaced that mean something in HTML, unless it is marked as safe.
    func escaped(_ text: Text) -> Text {
        guard !text.isMarkup else { return text }
        var result: [Scalar] = []
        for scalar in text.scalars {
            let name: String? =
                switch scalar.code {
                case 0x26: "&amp;"
                case 0x3C: "&lt;"
                case 0x3E: "&gt;"
                case 0x27: "&#39;"
                case 0x22: "&#34;"
                default: nil
                }
            guard let name else {
                result.append(scalar)
                continue
            }
            for part in name.unicodeScalars { result.append(scalar.replaced(by: part.value)) }
        }
        return Text(result, isMarkup: true)
    }

    /// Words that begin with a capital letter; a word ends at white space and at "-({[<".
    private func titled(_ text: ArraySlice<Scalar>) -> [Scalar] {
        let separates = { (scalar: Scalar) in
            scalar.isSpace || [0x2D, 0x28, 0x7B, 0x5B, 0x3C].contains(scalar.code)
        }
        var result: [Scalar] = []
        var rest = text
        while let first = rest.first {
            let end = rest.firstIndex { separates($0) != separates(first) } ?? rest.endIndex
            first.uppercased(into: &result)
            result += rest[..<end].dropFirst().lowercased
            rest = rest[end...]
        }
        return result
    }

    private func indent(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Text {
        guard case .string(var text) = value else {
            throw fail(value.isUndefined ? .undefined : .type, "indent: a text is needed, not \(value.typeName)")
        }
        let bound = try bind(arguments, of: "indent", ["width", "first", "blank"])
        var indent: [Scalar]
        if case .string(let text)? = bound[0] {
            indent = text.scalars
        } else {
            let width = max(try wholeNumber(bound, 0) ?? 4, 0)
            try charge(width)
            indent = [Scalar](repeating: Scalar(0x20), count: width)
        }
        if text.isMarkup { indent = escaped(Text(indent)).scalars }
        let (indentsFirst, indentsBlank) = (isTrue(bound, 1), isTrue(bound, 2))
        var result: [Scalar] = []
        text.scalars.append(Scalar(0x0A))
        let lines = text.scalars[...].lines()
        try charge(elements: lines.count)
        for (index, line) in lines.enumerated() {
            if index > 0 { result.append(Scalar(0x0A)) }
            let isIndented = index == 0 ? indentsFirst : indentsBlank || !line.isEmpty
            try charge(line.count + indent.count)
            if isIndented { result += indent }
            result += line
        }
        return Text(result, isMarkup: text.isMarkup)
    }

    /// What is short enough stays as it is, whatever it is.
    private func truncate(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let count = try self.length(of: value)
        let bound = try bind(arguments, of: "truncate", ["length", "killwords", "end", "leeway"])
        let length = try wholeNumber(bound, 0) ?? 255
        let end = try self.text(bound, 2)?.scalars ?? Text("...").scalars
        let leeway = bound[3].map { $0.isNone } ?? true ? 5 : try wholeNumber(bound, 3) ?? 5
        guard length >= end.count, leeway >= 0 else {
            throw fail(.value, "truncate: the length is smaller than that of the end, or the leeway is negative")
        }
        guard count > length, count - length > leeway else { return value }
        guard case .string(let text) = value, !text.isMarkup else {
            throw fail(.type, "truncate: a text is needed, not \(value.typeName)")
        }
        try charge(count)
        let kept = text.scalars.prefix(length - end.count)
        guard !isTrue(bound, 1), let space = kept.lastIndex(where: { $0.code == 0x20 }) else {
            return .string(kept + end)
        }
        return .string(kept[..<space] + end)
    }
}
