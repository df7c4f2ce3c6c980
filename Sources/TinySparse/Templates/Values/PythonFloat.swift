// SPDX-License-Identifier: Apache-2.0

extension Double {
    /// Python's `repr` of a float: the shortest decimal that stands for it, with an exponent below 1e-4 and from 1e16 on.
    var pythonText: String {
        if isNaN { return "nan" }
        if isInfinite { return self < 0 ? "-inf" : "inf" }
        let sign = self.sign == .minus ? "-" : ""
        let (digits, exponent) = shortestDecimal
        if self == 0 { return sign + "0.0" }
        guard -4..<16 ~= exponent else {
            let fraction = digits.count > 1 ? "." + text(digits[1...]) : ""
            let magnitude = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return sign + text(digits[..<1]) + fraction + "e" + (exponent < 0 ? "-" : "+") + magnitude
        }
        let zeros = { (count: Int) in String(repeating: "0", count: max(count, 0)) }
        if exponent < 0 { return sign + "0." + zeros(-exponent - 1) + text(digits[...]) }
        let point = min(exponent + 1, digits.count)
        let fraction = point < digits.count ? text(digits[point...]) : "0"
        return sign + text(digits[..<point]) + zeros(exponent + 1 - digits.count) + "." + fraction
    }

    private func text(_ digits: ArraySlice<UInt8>) -> String { String(decoding: digits, as: UTF8.self) }

    /// The digits of the shortest decimal without zeros at their ends, and the power of ten of the first one.
    private var shortestDecimal: (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var exponent = 0
        var point: Int?
        var written: [UInt8] = []
        for byte in magnitude.description.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if exponent == 0 { digits.append(byte) } else { written.append(byte) }
            case UInt8(ascii: "."): point = digits.count
            case UInt8(ascii: "e"): exponent = 1
            case UInt8(ascii: "-"): exponent = -1
            default: break
            }
        }
        var power = (Int(String(decoding: written, as: UTF8.self)) ?? 0) * exponent + (point ?? digits.count) - 1
        let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(zeros)
        power -= zeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (digits, power)
    }

    /// Python's `float(text)`; nil for what is no number.
    init?(python text: ArraySlice<Scalar>) {
        guard let digits = Self.withoutUnderscores(text) else { return nil }
        let isNumber = digits.utf8.allSatisfy {
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || "+-.eE".utf8.contains($0)
        }
        if !isNumber {
            let word = digits.hasPrefix("-") || digits.hasPrefix("+") ? String(digits.dropFirst()) : digits
            switch word.lowercased() {
            case "inf", "infinity": self = digits.hasPrefix("-") ? -.infinity : .infinity
            case "nan": self = .nan
            default: return nil
            }
            return
        }
        guard let value = Double(digits) else { return nil }
        self = value
    }

    /// The characters without white space around them and single underscores between digits, decimal digits of other
    /// scripts as those of ASCII; nil if underscores are elsewhere or another character is not ASCII.
    fileprivate static func withoutUnderscores(_ text: ArraySlice<Scalar>) -> String? {
        // Unlike `strip`, numbers keep the separators of ASCII.
        let part = text.stripped(left: true, right: true) { $0.isSpace && !(0x1C...0x1F ~= $0.code) }
        var characters: [UInt8] = []
        for scalar in part {
            if scalar.code < 0x80 {
                characters.append(UInt8(scalar.code))
            } else if let digit = scalar.decimalDigit {
                characters.append(UInt8(ascii: "0") + digit)
            } else {
                return nil
            }
        }
        var bytes: [UInt8] = []
        let isDigit = { (index: Int) in characters.indices.contains(index) && 48...57 ~= characters[index] }
        for (index, code) in characters.enumerated() {
            if code == 0x5F {
                guard isDigit(index - 1), isDigit(index + 1) else { return nil }
            } else {
                bytes.append(code)
            }
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

/// What Python's `int(text, base)` yields.
enum ParsedInteger {
    case value(Int)
    case tooLarge
    case noNumber

    init(_ text: ArraySlice<Scalar>, base: Int) {
        guard let digits = Double.withoutUnderscores(text) else {
            self = .noNumber
            return
        }
        if let value = Int(digits, radix: base) {
            self = .value(value)
        } else {
            let unsigned = digits.hasPrefix("-") || digits.hasPrefix("+") ? String(digits.dropFirst()) : digits
            let isNumber = !unsigned.isEmpty && unsigned.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
            self = isNumber && base == 10 ? .tooLarge : .noNumber
        }
    }
}
