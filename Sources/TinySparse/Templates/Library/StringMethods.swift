// SPDX-License-Identifier: Apache-2.0

// The methods of Python's `str`.

extension Interpreter {
    func method(_ name: String, of value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        switch value {
        case .string(let text): return try method(name, of: text, arguments)
        case .list(let items): return try method(name, of: items, isTuple: false, arguments)
        case .tuple(let items): return try method(name, of: items, isTuple: true, arguments)
        case .dictionary(let mapping): return try method(name, of: mapping, arguments)
        case .loop(let loop):
            guard arguments.named.isEmpty, !arguments.positional.isEmpty else {
                throw fail(.type, "cycle: the values are missing")
            }
            return arguments.positional[max(loop.index0, 0) % arguments.positional.count]
        default: throw fail(.unsupported, "'\(name)' of \(value.typeName)")
        }
    }

    private func method(_ name: String, of text: Text, _ arguments: Arguments) throws(TemplateError) -> Value {
        try charge(text.count)
        let all = text.scalars[...]
        switch name {
        case "strip", "lstrip", "rstrip":
            return marked(try strip(text, arguments, name), like: text)
        case "split", "rsplit":
            let parts = try split(text, name, arguments)
            return try list(parts.map { marked(Array($0), like: text) })
        case "splitlines":
            let bound = try bind(arguments, of: name, ["keepends"])
            return try list(all.lines(keepingEnds: isTrue(bound, 0)).map { marked(Array($0), like: text) })
        case "partition", "rpartition": return try partition(text, name, arguments)
        case "startswith", "endswith": return .bool(try hasEnd(text, name, arguments))
        case "removeprefix", "removesuffix":
            let end = try text_(arguments, name).scalars
            guard name == "removeprefix" else {
                return .string(hasSuffix(text, end) ? all.dropLast(end.count) : all)
            }
            return .string(all.starts(with: end) ? all.dropFirst(end.count) : all)
        case "replace":
            let bound = try bind(arguments, of: name, ["old", "new", "count"], required: 2, firstNamed: 3)
            guard let old = try self.text(bound, 0), let new = try self.text(bound, 1) else { return .string(text) }
            return .string(try replace(text, old, new, limit: wholeNumber(bound, 2) ?? -1))
        case "count", "find", "rfind", "index", "rindex": return try search(text, name, arguments)
        case "join": return .string(try join(text, arguments))
        case "center", "ljust", "rjust", "zfill": return try pad(text, name, arguments)
        case "format": return .string(try format(text, arguments))
        default: break
        }
        _ = try bind(arguments, of: name, [])
        switch name {
        case "upper": return marked(all.uppercased, like: text)
        case "lower": return marked(all.lowercased, like: text)
        case "title": return marked(all.titled, like: text)
        case "capitalize": return marked(all.capitalized, like: text)
        case "swapcase": return marked(all.swappedCase, like: text)
        default: return .bool(isEvery(text, name))
        }
    }

    func marked(_ scalars: [Scalar], like text: Text) -> Value { .string(Text(scalars, isMarkup: text.isMarkup)) }

    /// The only argument of a method, a text.
    private func text_(_ arguments: Arguments, _ name: String) throws(TemplateError) -> Text {
        try text(bind(arguments, of: name, ["text"], required: 1, firstNamed: 1), 0) ?? Text([])
    }

    private func hasSuffix(_ text: Text, _ end: [Scalar]) -> Bool { text.scalars.suffix(end.count).elementsEqual(end) }

    private func strip(_ text: Text, _ arguments: Arguments, _ name: String) throws(TemplateError) -> [Scalar] {
        let bound = try bind(arguments, of: name, ["chars"], firstNamed: 1)
        let (left, right) = (name != "rstrip", name != "lstrip")
        if bound[0]?.isNone ?? true {
            return Array(text.scalars[...].stripped(left: left, right: right) { $0.isSpace })
        }
        let characters = Set(try charged(self.text(bound, 0)?.scalars ?? []))
        return Array(text.scalars[...].stripped(left: left, right: right, characters.contains))
    }

    private func split(
        _ text: Text, _ name: String, _ arguments: Arguments
    ) throws(TemplateError) -> [ArraySlice<Scalar>] {
        let bound = try bind(arguments, of: name, ["sep", "maxsplit"])
        let limit = try wholeNumber(bound, 1) ?? -1
        let (most, fromRight) = (limit < 0 ? Int.max : limit, name == "rsplit")
        let parts: [ArraySlice<Scalar>]
        if bound[0]?.isNone ?? true {
            parts = text.scalars.words(limit: most, fromRight: fromRight)
        } else {
            let separator = try self.text(bound, 0)?.scalars ?? []
            guard !separator.isEmpty else { throw fail(.value, "\(name): the separator is empty") }
            parts = text.scalars.split(by: separator, limit: most, fromRight: fromRight)
        }
        try charge(elements: parts.count)
        return parts
    }

    private func partition(_ text: Text, _ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        let separator = try text_(arguments, name)
        guard separator.count > 0 else { throw fail(.value, "\(name): the separator is empty") }
        let place = text.scalars.places(of: separator.scalars, limit: 1, fromRight: name == "rpartition").first
        guard let place else {
            let empty = Value.string([])
            return .tuple(
                try items(name == "partition" ? [.string(text), empty, empty] : [empty, empty, .string(text)]))
        }
        return .tuple(
            try items([
                .string(text.scalars[..<place]), .string(separator),
                .string(text.scalars[(place + separator.count)...]),
            ]))
    }

    private func hasEnd(_ text: Text, _ name: String, _ arguments: Arguments) throws(TemplateError) -> Bool {
        let bound = try bind(arguments, of: name, ["text"], required: 1, firstNamed: 1)
        var ends: [Text] = []
        if case .tuple(let items)? = bound[0] {
            for case .string(let end) in items.values { ends.append(end) }
            guard ends.count == items.count else { throw fail(.type, "\(name): a tuple of texts is needed") }
            for end in ends { try charge(4 + min(end.count, text.count)) }
        } else {
            ends = [try self.text(bound, 0) ?? Text([])]
        }
        return ends.contains {
            name == "startswith" ? text.scalars.starts(with: $0.scalars) : hasSuffix(text, $0.scalars)
        }
    }

    func replace(_ text: Text, _ old: Text, _ new: Text, limit: Int) throws(TemplateError) -> [Scalar] {
        // What the result can have at most; counting the places first would take as long as replacing.
        let places = old.count == 0 ? text.count + 1 : text.scalars.places(of: old.scalars).count
        let replaced = limit < 0 ? places : min(places, limit)
        let (added, overflow) = replaced.multipliedReportingOverflow(by: new.count)
        try charge(overflow ? .max : added)
        try charge(text.count)
        return text.scalars.replaced(old.scalars, by: new.scalars, limit: replaced)
    }

    private func search(_ text: Text, _ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        guard arguments.count < 2 else { throw fail(.unsupported, "'\(name)' with a range") }
        let part = try text_(arguments, name).scalars
        if name == "count" {
            return .integer(part.isEmpty ? text.count + 1 : text.scalars.places(of: part).count)
        }
        let fromRight = name == "rfind" || name == "rindex"
        let place =
            part.isEmpty
            ? (fromRight ? text.count : 0) : text.scalars.places(of: part, limit: 1, fromRight: fromRight).first
        guard place != nil || name == "find" || name == "rfind" else {
            throw fail(.value, "\(name): the text does not occur")
        }
        return .integer(place ?? -1)
    }

    private func join(_ separator: Text, _ arguments: Arguments) throws(TemplateError) -> [Scalar] {
        let bound = try bind(arguments, of: "join", ["iterable"], required: 1, firstNamed: 1)
        var joined: [Scalar] = []
        for (index, value) in try elements(of: bound[0] ?? .none).enumerated() {
            guard case .string(let text) = value else {
                throw fail(.type, "join: an element is no text, but \(value.typeName)")
            }
            try charge(4 + text.count + separator.count)
            if index > 0 { joined += separator.scalars }
            joined += text.scalars
        }
        return joined
    }

    func pad(_ text: Text, _ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        let names = name == "zfill" ? ["width"] : ["width", "fillchar"]
        let bound = try bind(arguments, of: name, names, required: 1, firstNamed: 2)
        let missing = max(try wholeNumber(bound, 0) ?? 0, text.count) - text.count
        try charge(missing)
        if name == "zfill" {
            let signs = text.scalars.prefix(1).filter { $0.code == 0x2B || $0.code == 0x2D }
            let zeros = [Scalar](repeating: Scalar(0x30), count: missing)
            return .string(signs + zeros + text.scalars.dropFirst(signs.count))
        }
        let fill = try names.count > 1 ? self.text(bound, 1)?.scalars : nil
        guard fill?.count ?? 1 == 1 else { throw fail(.type, "\(name): one character is needed to fill with") }
        let left =
            switch name {
            case "ljust": 0
            case "rjust": missing
            // Python puts the odd space to the left only if the width is odd, too.
            default: missing / 2 + (missing & (missing + text.count) & 1)
            }
        let space = { [scalar = fill?[0] ?? Scalar(0x20)] in [Scalar](repeating: scalar, count: $0) }
        return marked(space(left) + text.scalars + space(missing - left), like: text)
    }

    /// The methods that ask something of every character.
    private func isEvery(_ text: Text, _ name: String) -> Bool {
        let all = text.scalars
        switch name {
        case "islower": return all[...].hasCase(upper: false)
        case "isupper": return all[...].hasCase(upper: true)
        case "isascii": return all.allSatisfy { $0.code < 0x80 }
        case "isprintable": return all.allSatisfy { $0.isPrintable }
        default: break
        }
        return !all.isEmpty
            && all.allSatisfy {
                switch name {
                case "isalpha": $0.isLetter
                case "isalnum": $0.isLetter || $0.isNumeric
                case "isnumeric": $0.isNumeric
                case "isdigit": $0.isDigit
                case "isdecimal": $0.isDecimal
                default: $0.isSpace
                }
            }
    }
}
