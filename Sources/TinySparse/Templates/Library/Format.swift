// SPDX-License-Identifier: Apache-2.0

// The two ways in which Python formats text: "%s" % value and "{}".format(value).

extension Interpreter {
    /// `pattern % value`, for %s, %r, %d, %i and %%.
    func formatted(_ pattern: Text, with value: Value) throws(TemplateError) -> [Scalar] {
        var values = [value]
        if case .tuple(let items) = value { values = items.values }
        var used = 0
        let out = try expanded(pattern) { (position, out) throws(TemplateError) in
            guard position < pattern.count else { throw fail(.value, "a format ends with %") }
            let letter = pattern.scalars[position]
            position += 1
            guard letter.code != 0x25 else { return out.append(letter) }
            guard used < values.count else { throw fail(.type, "a format needs more values than there are") }
            let value = values[used]
            used += 1
            switch letter.code {
            case 0x73: out += try charged(text(value).scalars)
            case 0x72: try represent(value, into: &out)
            case 0x64, 0x69: out += try charged(decimal(value))
            default: throw fail(.unsupported, "the format %\([letter][...].string)")
            }
        }
        switch value {
        // What has elements by key may be left unused.
        case .dictionary, .list, .range, .undefined: if used == 0 { return out }
        default: break
        }
        guard used == values.count else { throw fail(.type, "a format does not use all its values") }
        return out
    }

    /// A format with every "%", and what belongs to it, replaced.
    /// - Parameter directive: appends what comes in its place, and moves the position, which is behind the "%", on.
    func expanded(
        _ format: Text, _ directive: (_ position: inout Int, _ out: inout [Scalar]) throws(TemplateError) -> Void
    ) throws(TemplateError) -> [Scalar] {
        try charge(format.count)
        var out: [Scalar] = []
        var position = 0
        while position < format.count {
            let scalar = format.scalars[position]
            position += 1
            if scalar.code == 0x25 { try directive(&position, &out) } else { out.append(scalar) }
        }
        return out
    }

    /// Scalars that are read or copied.
    func charged(_ scalars: [Scalar]) throws(TemplateError) -> [Scalar] {
        try charge(scalars.count)
        return scalars
    }

    private func decimal(_ value: Value) throws(TemplateError) -> [Scalar] {
        if case .double(let number) = value {
            guard let whole = Int(exactly: number.rounded(.towardZero)) else {
                throw fail(.value, "a number is too large for %d")
            }
            return Text("\(whole)").scalars
        }
        guard let number = value.wholeNumber else { throw fail(.type, "%d needs a number, not \(value.typeName)") }
        return Text("\(number)").scalars
    }

    /// `pattern.format(...)`, for fields without a format of their own: {}, {0}, {name}, {0.name}, {0[key]}.
    func format(_ pattern: Text, _ arguments: Arguments) throws(TemplateError) -> [Scalar] {
        var out: [Scalar] = []
        var automatic = 0
        var position = 0
        func peek(_ code: UInt32) -> Bool { position < pattern.count && pattern.scalars[position].code == code }
        while position < pattern.count {
            let scalar = pattern.scalars[position]
            position += 1
            switch scalar.code {
            case 0x7B, 0x7D:
                if peek(scalar.code) {
                    out.append(scalar)
                    position += 1
                    continue
                }
                guard scalar.code == 0x7B, let end = pattern.scalars[position...].firstIndex(where: { $0.code == 0x7D })
                else { throw fail(.value, "format: a brace without its other") }
                let field = pattern.scalars[position..<end].string
                position = end + 1
                try charge(arguments.named.count)
                let value: Value
                if field.isEmpty {
                    guard automatic >= 0, automatic < arguments.positional.count else {
                        throw fail(.value, "format: there is no value for {}")
                    }
                    value = arguments.positional[automatic]
                    automatic += 1
                } else if let index = Int(field), automatic <= 0, index >= 0, index < arguments.positional.count {
                    value = arguments.positional[index]
                    automatic = -1
                } else if let named = arguments.named.first(where: { $0.name == field }) {
                    value = named.value
                } else {
                    let isPlain = field.unicodeScalars.allSatisfy { Scalar($0.value).isWord }
                    throw fail(isPlain ? .value : .unsupported, "format: the field {\(field)}")
                }
                out += try charged(text(value).scalars)
            default: out.append(scalar)
            }
        }
        try charge(pattern.count)
        return out
    }
}
