// SPDX-License-Identifier: Apache-2.0

extension Interpreter {
    /// `value | filter`.
    func apply(_ filter: Filter, to value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        switch filter {
        case .default:
            let bound = try bind(arguments, of: "default", ["default_value", "boolean"])
            let isMissing = value.isUndefined || isTrue(bound, 1) && !isTrue(value)
            return isMissing ? bound[0] ?? .string("") : value
        case .tojson: return .string(try json(value, arguments))
        case .length, .list, .string, .items, .safe, .abs, .first, .last, .reverse, .wordcount:
            _ = try bind(arguments, of: filter.rawValue, [])
            return try applyPlain(filter, to: value)
        case .upper, .lower, .capitalize, .title, .escape, .forceescape:
            _ = try bind(arguments, of: filter.rawValue, [])
            return try applyToText(filter, try text(value), isText: value)
        case .trim, .replace, .indent, .center, .format, .truncate: return try applyToText(filter, value, arguments)
        case .join: return .string(try join(value, arguments))
        case .map: return try map(value, arguments)
        case .select, .reject, .selectattr, .rejectattr: return try select(filter, value, arguments)
        case .sort, .unique, .min, .max, .dictsort, .sum, .batch, .slice, .attr:
            return try applyToElements(filter, value, arguments)
        case .int, .float, .round: return try applyToNumber(filter, value, arguments)
        case .filesizeformat, .groupby, .pprint, .random, .striptags, .urlencode, .urlize, .wordwrap, .xmlattr:
            throw fail(.unsupported, "the filter '\(filter.rawValue)'")
        }
    }

    /// Filters without arguments.
    private func applyPlain(_ filter: Filter, to value: Value) throws(TemplateError) -> Value {
        switch filter {
        case .length: return .integer(try length(of: value))
        case .list: return try list(elements(of: value))
        case .string: return .string(try text(value))
        case .safe: return .string(Text(try text(value).scalars, isMarkup: true))
        case .items:
            if value.isUndefined { return try iterator([]) }
            guard case .dictionary(let mapping) = value else {
                throw fail(.type, "items: a dictionary is needed, not \(value.typeName)")
            }
            return try iterator(elements(of: .view(.items, mapping)))
        case .first:
            if case .iterator(let iterator) = value { return iterator.next() ?? .undefined("there is no first item") }
            return try elements(of: value).first ?? .undefined("there is no first item")
        case .last: return try reversible(value, "last").last ?? .undefined("there is no last item")
        case .reverse:
            switch value {
            case .string(let text):
                try charge(text.count)
                return marked(text.scalars.reversed(), like: text)
            case .iterator(let iterator): return try list(iterator.rest.reversed())
            default: return try iterator(reversible(value, "reverse").reversed())
            }
        case .wordcount:
            var count = 0
            var isInWord = false
            for scalar in try charged(text(value).scalars) {
                if scalar.isWord, !isInWord { count += 1 }
                isInWord = scalar.isWord
            }
            return .integer(count)
        default: return try magnitude(of: value)
        }
    }

    /// The elements of a value that can be read from its end.
    private func reversible(_ value: Value, _ name: String) throws(TemplateError) -> [Value] {
        if case .iterator = value {
            throw fail(.type, "\(name): a generator cannot be read from its end; make a list of it")
        }
        return try elements(of: value)
    }

    private func json(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> [Scalar] {
        let bound = try bind(arguments, of: "tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
        var style = JSONStyle(escapesNonASCII: isTrue(bound, 0), itemSeparator: Text(", ").scalars)
        style.sortsKeys = isTrue(bound, 3)
        switch bound[1] {
        case nil, Value.none?: break
        case .string(let text)?: style.indent = text.scalars
        default:
            let width = max(try wholeNumber(bound, 1) ?? 0, 0)
            try charge(width)
            style.indent = [Scalar](repeating: Scalar(0x20), count: width)
        }
        if style.indent != nil { style.itemSeparator = Text(",").scalars }
        if let separators = bound[2], !separators.isNone {
            let parts = try elements(of: separators)
            guard parts.count == 2, case .string(let item) = parts[0], case .string(let key) = parts[1] else {
                throw fail(.type, "tojson: the separators are two texts")
            }
            (style.itemSeparator, style.keySeparator) = (item.scalars, key.scalars)
        }
        var out: [Scalar] = []
        try writeJSON(value, style, into: &out)
        return out
    }
}
