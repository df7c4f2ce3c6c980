// SPDX-License-Identifier: Apache-2.0

extension Scalar {
    private var properties: Unicode.Scalar.Properties? { Unicode.Scalar(code)?.properties }

    func uppercased(into out: inout [Scalar]) {
        if code < 0x80 {
            out.append(0x61...0x7A ~= code ? replaced(by: code - 32) : self)
        } else {
            map(properties?.uppercaseMapping, into: &out)
        }
    }

    func lowercased(into out: inout [Scalar]) {
        if code < 0x80 {
            out.append(0x41...0x5A ~= code ? replaced(by: code + 32) : self)
        } else {
            map(properties?.lowercaseMapping, into: &out)
        }
    }

    func titlecased(into out: inout [Scalar]) { map(properties?.titlecaseMapping, into: &out) }

    private func map(_ mapping: String?, into out: inout [Scalar]) {
        guard let mapping else { return out.append(self) }
        for scalar in mapping.unicodeScalars { out.append(replaced(by: scalar.value)) }
    }

    var isCased: Bool { properties?.isCased ?? false }
    var isUpper: Bool { properties?.isUppercase ?? false }
    var isLower: Bool { properties?.isLowercase ?? false }
    var isTitle: Bool { properties?.generalCategory == .titlecaseLetter }
    fileprivate var isCaseIgnorable: Bool { properties?.isCaseIgnorable ?? false }

    var isLetter: Bool {
        switch properties?.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }
    var isNumeric: Bool { properties?.numericType != nil }
    var isDigit: Bool { properties?.numericType == .decimal || properties?.numericType == .digit }
    var isDecimal: Bool { properties?.numericType == .decimal }
    /// The value of a decimal digit of any script.
    var decimalDigit: UInt8? { isDecimal ? properties?.numericValue.map { UInt8($0) } : nil }
    /// What `\w` matches.
    var isWord: Bool { code == 0x5F || isLetter || isNumeric }

    /// Python's `str.isprintable`.
    var isPrintable: Bool {
        if code < 0x7F { return code >= 0x20 }
        switch properties?.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator, nil:
            return false
        default: return true
        }
    }
}

extension ArraySlice<Scalar> {
    var uppercased: [Scalar] {
        var result: [Scalar] = []
        result.reserveCapacity(count)
        for scalar in self { scalar.uppercased(into: &result) }
        return result
    }

    var lowercased: [Scalar] {
        var result: [Scalar] = []
        result.reserveCapacity(count)
        for position in indices { lowercase(position, into: &result) }
        return result
    }

    /// The first character as in a title, the others in lower case: `str.capitalize`.
    var capitalized: [Scalar] {
        var result: [Scalar] = []
        first?.titlecased(into: &result)
        for position in indices.dropFirst() { lowercase(position, into: &result) }
        return result
    }

    /// Every letter that follows none as in a title, the others in lower case: `str.title`.
    var titled: [Scalar] {
        var result: [Scalar] = []
        var isInWord = false
        for position in indices {
            if isInWord { lowercase(position, into: &result) } else { self[position].titlecased(into: &result) }
            isInWord = self[position].isCased
        }
        return result
    }

    var swappedCase: [Scalar] {
        var result: [Scalar] = []
        for position in indices {
            if self[position].isUpper {
                lowercase(position, into: &result)
            } else if self[position].isLower {
                self[position].uppercased(into: &result)
            } else {
                result.append(self[position])
            }
        }
        return result
    }

    /// A capital sigma that ends a word becomes a final one.
    private func lowercase(_ position: Int, into out: inout [Scalar]) {
        let scalar = self[position]
        guard scalar.code == 0x3A3 else { return scalar.lowercased(into: &out) }
        let before = self[..<position].last { !$0.isCaseIgnorable }
        let after = self[(position + 1)...].first { !$0.isCaseIgnorable }
        let isFinal = before?.isCased ?? false && !(after?.isCased ?? false)
        out.append(scalar.replaced(by: isFinal ? 0x3C2 : 0x3C3))
    }

    /// Whether there are letters of a case, and all of them have it.
    func hasCase(upper: Bool) -> Bool {
        var isCased = false
        for scalar in self {
            if scalar.isTitle || (upper ? scalar.isLower : scalar.isUpper) { return false }
            if upper ? scalar.isUpper : scalar.isLower { isCased = true }
        }
        return isCased
    }
}
