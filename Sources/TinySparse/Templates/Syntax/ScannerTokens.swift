// SPDX-License-Identifier: Apache-2.0

extension Scanner {
    /// Reads a token inside a tag. There is a character, and it is no white space.
    /// - Throws: `TemplateError` for a character that begins no token.
    mutating func readToken() throws(TemplateError) -> Token.Kind {
        let first = scalars[position]
        if isDigit(0) { return try readNumber() }
        if isNamePart(first) { return .name(try readName()) }
        if first.code == 0x22 || first.code == 0x27, let string = try readString() { return .string(string) }
        for symbol in Symbol.allCases where peek(symbol) {
            position += symbol.rawValue.utf8.count
            return .symbol(symbol)
        }
        let line = line
        throw TemplateError(.syntax, line: line, "unexpected character \(scalars[position...position].string)")
    }

    private func peek(_ symbol: Symbol) -> Bool {
        scalars[position...].prefix(2).starts(with: symbol.rawValue.unicodeScalars) { $0.code == $1.value }
    }

    // MARK: Names and numbers

    private func isNamePart(_ scalar: Scalar) -> Bool {
        switch scalar.code {
        case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
        case ..<0x80: false
        default: Unicode.Scalar(scalar.code)?.properties.isXIDContinue ?? false
        }
    }

    private mutating func readName() throws(TemplateError) -> String {
        let start = position
        while position < scalars.count, isNamePart(scalars[position]) { position += 1 }
        let first = scalars[start].code
        guard first < 0x80 || Unicode.Scalar(first)?.properties.isXIDStart ?? false else {
            throw TemplateError(.syntax, line: line, "a name begins with a character that only continues one")
        }
        guard position - start <= TemplateLimits.nameLength else {
            throw TemplateError(
                .limit, line: line, "a name has more than \(TemplateLimits.nameLength) characters")
        }
        return scalars[start..<position].string
    }

    private func isDigit(_ offset: Int, radix: UInt32 = 10) -> Bool {
        guard position + offset < scalars.count else { return false }
        let code = scalars[position + offset].code
        return 0x30..<0x30 + min(radix, 10) ~= code || radix == 16 && 0x61...0x66 ~= code | 0x20
    }

    /// Reads digits, and single underscores between them if they are `grouped`.
    private mutating func readDigits(radix: UInt32 = 10, into digits: inout [UInt8]) {
        while isDigit(0, radix: radix) || next == 0x5F && isDigit(1, radix: radix) {
            if let code = next, code != 0x5F { digits.append(UInt8(code)) }
            position += 1
        }
    }

    private mutating func readNumber() throws(TemplateError) -> Token.Kind {
        let line = line
        if next == 0x30, position + 1 < scalars.count {
            let mark = scalars[position + 1].code | 0x20
            let radix: UInt32 = mark == 0x62 ? 2 : mark == 0x6F ? 8 : mark == 0x78 ? 16 : 0
            position += 2
            if radix > 0, isDigit(0, radix: radix) || next == 0x5F && isDigit(1, radix: radix) {
                var digits: [UInt8] = []
                readDigits(radix: radix, into: &digits)
                return .integer(try integer(digits, radix: Int(radix), line))
            }
            position -= 2
        }
        // Digits after a dot are the index of an element: a.0.1
        let followsDot = position > 0 && scalars[position - 1].code == 0x2E
        var digits: [UInt8] = []
        let start = position
        readDigits(into: &digits)
        if !followsDot, readFraction(into: &digits) {
            guard let value = Double(String(decoding: digits, as: UTF8.self)), value.isFinite else {
                throw TemplateError(.unsupported, line: line, "a number is too large")
            }
            return .double(value)
        }
        // A decimal number other than 0 does not begin with 0; what follows is a token of its own.
        if digits.count > 1, digits[0] == 0x30 {
            position = start
            while next == 0x30 || next == 0x5F && position + 1 < scalars.count && scalars[position + 1].code == 0x30 {
                position += 1
            }
            return .integer(0)
        }
        return .integer(try integer(digits, radix: 10, line))
    }

    /// Reads the fraction and the exponent that make a float of the digits before them; false if there are none.
    private mutating func readFraction(into digits: inout [UInt8]) -> Bool {
        var isFloat = false
        if next == 0x2E, isDigit(1) {
            position += 1
            digits.append(0x2E)
            readDigits(into: &digits)
            isFloat = true
        }
        guard let mark = next, mark | 0x20 == 0x65 else { return isFloat }
        let sign = position + 1 < scalars.count ? scalars[position + 1].code : 0
        let hasSign = sign == 0x2B || sign == 0x2D
        guard isDigit(hasSign ? 2 : 1) else { return isFloat }
        digits.append(0x65)
        if hasSign { digits.append(UInt8(sign)) }
        position += hasSign ? 2 : 1
        readDigits(into: &digits)
        return true
    }

    private func integer(_ digits: [UInt8], radix: Int, _ line: Int) throws(TemplateError) -> Int {
        guard let value = Int(String(decoding: digits, as: UTF8.self), radix: radix) else {
            throw TemplateError(.unsupported, line: line, "an integer does not fit in 64 bits")
        }
        return value
    }

    // MARK: Strings

    /// Reads a string with its quotes; nil if it does not end.
    private mutating func readString() throws(TemplateError) -> [Scalar]? {
        let quote = scalars[position].code
        var end = position + 1
        while end < scalars.count, scalars[end].code != quote { end += scalars[end].code == 0x5C ? 2 : 1 }
        guard end < scalars.count else { return nil }
        let line = line
        var text: [Scalar] = []
        position += 1
        while position < end {
            let scalar = scalars[position]
            position += 1
            if scalar.code == 0x5C { try readEscape(line, before: end, into: &text) } else { text.append(scalar) }
        }
        position = end + 1
        return text
    }

    /// Reads what follows a backslash.
    private mutating func readEscape(_ line: Int, before end: Int, into text: inout [Scalar]) throws(TemplateError) {
        let scalar = scalars[position]
        position += 1
        switch scalar.code {
        case 0x0A: break
        case 0x22, 0x27, 0x5C: text.append(scalar)
        case 0x61: text.append(Scalar(0x07))
        case 0x62: text.append(Scalar(0x08))
        case 0x66: text.append(Scalar(0x0C))
        case 0x6E: text.append(Scalar(0x0A))
        case 0x72: text.append(Scalar(0x0D))
        case 0x74: text.append(Scalar(0x09))
        case 0x76: text.append(Scalar(0x0B))
        case 0x78: text.append(try readCode(digits: 2, line, before: end))
        case 0x75: text.append(try readCode(digits: 4, line, before: end))
        case 0x55: text.append(try readCode(digits: 8, line, before: end))
        case 0x4E: throw TemplateError(.unsupported, line: line, "the escape \\N is not supported; write \\u instead")
        case 0x30...0x37:
            var code = scalar.code - 0x30
            for _ in 0..<2 where isDigit(0, radix: 8) && position < end {
                code = code * 8 + scalars[position].code - 0x30
                position += 1
            }
            text.append(Scalar(code))
        case ..<0x80: text += [Scalar(0x5C), scalar]
        default:
            // Python makes something else of it.
            throw TemplateError(.unsupported, line: line, "a backslash before a character that is not ASCII")
        }
    }

    private mutating func readCode(digits: Int, _ line: Int, before end: Int) throws(TemplateError) -> Scalar {
        var code: UInt32 = 0
        for _ in 0..<digits {
            guard position < end, isDigit(0, radix: 16), code < 1 << 28 else {
                throw TemplateError(.syntax, line: line, "an escape needs \(digits) hexadecimal digits")
            }
            let digit = scalars[position].code
            code = code << 4 | (digit & 15) + (digit > 0x39 ? 9 : 0)
            position += 1
        }
        guard Unicode.Scalar(code) != nil else {
            throw TemplateError(.unsupported, line: line, "an escape stands for no character")
        }
        return Scalar(code)
    }
}
