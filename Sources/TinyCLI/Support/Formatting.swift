// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinySupport

// Text and numbers for output.

// MARK: Escaping

/// Text from a model for a terminal: without controls other than line breaks and tabs.
func withoutControls(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    result.append(contentsOf: text.unicodeScalars.filter { !$0.isTerminalControl || $0 == "\n" || $0 == "\t" })
    return String(result)
}

/// Text from a file on one line: controls are escaped, and text longer than `limit` is truncated.
func escaped(_ text: String, limit: Int = .max) -> String {
    var result = ""
    for (index, scalar) in text.unicodeScalars.enumerated() {
        if index == limit { return result + "…" }
        switch scalar {
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case "\\": result += "\\\\"
        default:
            if scalar.isTerminalControl {
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
    return result
}

/// Text with the escapes that llama.cpp processes: \n \r \t \' \" \\ and a byte as \xHH. Other backslashes stay.
func processingEscapes(_ text: [UInt8]) -> [UInt8] {
    let simple: [UInt8: UInt8] = [
        UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9, UInt8(ascii: "'"): UInt8(ascii: "'"),
        UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "\\"),
    ]
    var result: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "\\"), let next = rest.first else {
            result.append(byte)
            continue
        }
        let digits = rest.dropFirst().prefix(2)
        if let character = simple[next] {
            result.append(character)
            rest.removeFirst()
        } else if next == UInt8(ascii: "x"), digits.count == 2, digits.first != UInt8(ascii: "+"),
            let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
        {
            result.append(value)
            rest.removeFirst(3)
        } else {
            result.append(byte)
        }
    }
    return result
}

// MARK: Numbers

/// A number with the given digits after the decimal point.
func fixed(_ value: Double, _ digits: Int = 2) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e18 else { return "\(value)" }
    let sign = value < 0 && scaled > 0 ? "-" : ""
    let (whole, rest) = UInt64(scaled).quotientAndRemainder(dividingBy: UInt64(scale))
    guard digits > 0 else { return "\(sign)\(whole)" }
    let fraction = "\(rest)"
    return "\(sign)\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
}

/// A human-readable size: 512 B, 4.2 kB, 138.9 MB.
func readable(bytes: Int) -> String {
    var value = Double(bytes)
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.95 { return unit == "B" ? "\(bytes) B" : "\(fixed(value, 1)) \(unit)" }
        value /= 1000
    }
    return "\(fixed(value, 1)) TB"
}

/// Seconds since `start`.
func seconds(since start: ContinuousClock.Instant) -> Double {
    let (whole, atto) = (ContinuousClock.now - start).components
    return Double(whole) + Double(atto) * 1e-18
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(width - count, 0)) }
    func leftPadded(to width: Int) -> String { String(repeating: " ", count: max(width - count, 0)) + self }
}
