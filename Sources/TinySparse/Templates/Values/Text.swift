// SPDX-License-Identifier: Apache-2.0

/// A Unicode scalar that remembers whether it came from the inputs of a template or from the template itself.
///
/// A scalar needs 21 bits; one of the others says where it came from. Whatever a template does to a text, be it slicing,
/// splitting, joining or replacing, moves scalars about, and so each of them still tells its origin when the text is rendered:
/// only the template's own text may spell control tokens. Comparisons do not see the origin.
package struct Scalar: Sendable, Hashable, Comparable {
    private let bits: UInt32

    init(_ code: UInt32, isInput: Bool = false) { bits = code | (isInput ? 1 << 31 : 0) }

    var code: UInt32 { bits & 0x1F_FFFF }
    var isInput: Bool { bits >> 31 != 0 }

    /// Another scalar of the same origin.
    func replaced(by code: UInt32) -> Scalar { Scalar(code, isInput: isInput) }

    package static func == (a: Scalar, b: Scalar) -> Bool { a.code == b.code }
    package static func < (a: Scalar, b: Scalar) -> Bool { a.code < b.code }
    package func hash(into hasher: inout Hasher) { hasher.combine(code) }
}

/// A text of a template: Python's `str`, whose elements are code points.
package struct Text: Sendable, Equatable {
    var scalars: [Scalar]
    /// Whether the text was marked as safe HTML (`Markup`). Chat templates are rendered without escaping; the mark matters
    /// only because adding such a text and another escapes the other.
    var isMarkup = false

    init(_ scalars: [Scalar], isMarkup: Bool = false) {
        self.scalars = scalars
        self.isMarkup = isMarkup
    }

    init(_ text: String, isInput: Bool = false) {
        scalars = text.unicodeScalars.map { Scalar($0.value, isInput: isInput) }
    }

    var count: Int { scalars.count }

    var string: String { scalars[...].string }

    package static func == (a: Text, b: Text) -> Bool { a.scalars == b.scalars }
}

extension ArraySlice<Scalar> {
    var string: String {
        var view = String.UnicodeScalarView()
        for scalar in self { if let scalar = Unicode.Scalar(scalar.code) { view.append(scalar) } }
        return String(view)
    }
}

extension [Scalar] {
    static func += (a: inout [Scalar], b: String) {
        for scalar in b.unicodeScalars { a.append(Scalar(scalar.value)) }
    }
}

// MARK: - White space

extension Scalar {
    /// Python's `str.isspace`.
    var isSpace: Bool {
        switch code {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// Whether `str.splitlines` breaks a line here.
    var endsLine: Bool {
        switch code {
        case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}

extension ArraySlice<Scalar> {
    /// Without what `isStripped` at its ends.
    func stripped(left: Bool, right: Bool, _ isStripped: (Scalar) -> Bool) -> ArraySlice<Scalar> {
        var part = self
        if left { while let first = part.first, isStripped(first) { part.removeFirst() } }
        if right { while let last = part.last, isStripped(last) { part.removeLast() } }
        return part
    }

    /// The lines of a text, without their ends.
    func lines(keepingEnds: Bool = false) -> [ArraySlice<Scalar>] {
        var lines: [ArraySlice<Scalar>] = []
        var start = startIndex
        var position = startIndex
        while position < endIndex {
            let scalar = self[position]
            position += 1
            guard scalar.endsLine else { continue }
            let end = position - 1
            if scalar.code == 0x0D, position < endIndex, self[position].code == 0x0A { position += 1 }
            lines.append(self[start..<(keepingEnds ? position : end)])
            start = position
        }
        if start < endIndex { lines.append(self[start...]) }
        return lines
    }
}
