// SPDX-License-Identifier: Apache-2.0

import TinySupport

// Numbers and strings.

extension SchemaCompiler {
    private static let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]

    /// Whole numbers within the bounds, of at most 16 digits.
    mutating func integer(_ node: SchemaNode) throws(ConstraintError) -> Pattern {
        guard Self.bounds.contains(where: { node[$0] != nil }) else { return integer }
        var (low, high) = (-NumberRanges.largest, NumberRanges.largest)
        for keyword in Self.bounds {
            guard let value = node[keyword] else { continue }
            guard let bound = value.double else { throw node.error("a number is needed", in: keyword) }
            let limit = Double(NumberRanges.largest)
            let isLow = keyword.hasSuffix("inimum")
            var whole = Int64(max(min(isLow ? bound.rounded(.up) : bound.rounded(.down), limit), -limit))
            if keyword.hasPrefix("exclusive"), Double(whole) == bound { whole += isLow ? 1 : -1 }
            if isLow { low = max(low, whole) } else { high = min(high, whole) }
        }
        (low, high) = (max(low, -NumberRanges.largest), min(high, NumberRanges.largest))
        guard low <= high else { throw node.error("no whole number of at most 16 digits is within the bounds") }
        return NumberRanges.integers(low, high)
    }

    /// Numbers within the bounds, which have to be whole.
    mutating func number(_ node: SchemaNode) throws(ConstraintError) -> Pattern {
        guard Self.bounds.contains(where: { node[$0] != nil }) else { return number }
        var (low, high): (NumberRanges.Bound?, NumberRanges.Bound?) = (nil, nil)
        for keyword in Self.bounds {
            guard let value = node[keyword] else { continue }
            let isExclusive = keyword.hasPrefix("exclusive")
            let limit = isExclusive ? NumberRanges.largestExclusive : NumberRanges.largest
            guard let whole = value.double.flatMap({ Int64(exactly: $0) }), -limit...limit ~= whole else {
                throw node.error(
                    "of numbers, bounds have to be whole and at most \(limit); for others, use an integer in smaller units",
                    in: keyword)
            }
            let bound = NumberRanges.Bound(value: whole, isExclusive: isExclusive)
            if keyword.hasSuffix("inimum") {
                if low.map({ ($0.value, $0.isExclusive ? 1 : 0) < (whole, isExclusive ? 1 : 0) }) ?? true {
                    low = bound
                }
            } else if high.map({ ($0.value, $0.isExclusive ? 0 : 1) > (whole, isExclusive ? 0 : 1) }) ?? true {
                high = bound
            }
        }
        if let low, let high {
            let isEmpty = low.value > high.value || (low.value == high.value && (low.isExclusive || high.isExclusive))
            if isEmpty { throw node.error("no number is within the bounds") }
        }
        return NumberRanges.numbers(low, high)
    }

    // MARK: - Strings

    mutating func string(_ node: SchemaNode) throws(ConstraintError) -> Pattern {
        let given = ["pattern", "format", "minLength", "maxLength"].filter { node[$0] != nil }
        guard let first = given.first else { return string }
        if first == "pattern" || first == "format" {
            guard given.count == 1 else {
                throw node.error(
                    "\(JSON.quoted(first)) together with \(JSON.quoted(given[1])) is not supported; put the length into a pattern",
                    in: given[1])
            }
            guard let text = node[first]?.string else { throw node.error("a string is needed", in: first) }
            return quoted(first == "pattern" ? try matching(text, node) : try formatted(text, node))
        }
        let (least, most) = (try node.count("minLength") ?? 0, try node.count("maxLength"))
        guard least <= most ?? least else { throw node.error("no string has a length within the bounds") }
        return quoted(.repeated(character, minimum: least, maximum: most))
    }

    private func quoted(_ content: Pattern) -> Pattern { .sequence([.text("\""), content, .text("\"")]) }

    private mutating func matching(_ source: String, _ node: SchemaNode) throws(ConstraintError) -> Pattern {
        do throws(ConstraintError) {
            return JSONText.escaped(try RegexParser.textWithMatch(source, any: character))
        } catch {
            throw node.error("the regular expression: \(error.description)", in: "pattern")
        }
    }

    private func formatted(_ name: String, _ node: SchemaNode) throws(ConstraintError) -> Pattern {
        guard let source = Self.formats.first(where: { $0.name == name })?.source else {
            let known = Self.formats.map { $0.name }.joined(separator: ", ")
            throw node.error(
                "the format \(JSON.quoted(printable(name))) is not supported; supported are \(known)", in: "format")
        }
        return JSONText.escaped(try RegexParser.wholeText(source))
    }

    // Source: RFC 3339, 5.6, without leap seconds; RFC 9562, 4.
    private static let year = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
    private static let leapYear =
        "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
    private static let day =
        "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    private static let date = "(?:\(year)-\(day)|\(leapYear)-02-29)"
    private static let hour = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
    private static let time = "\(hour):[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-]\(hour))"
    /// The formats, as regular expressions.
    private static let formats: [(name: String, source: String)] = [
        ("date", date), ("time", time), ("date-time", "\(date)T\(time)"),
        ("uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ]
}
