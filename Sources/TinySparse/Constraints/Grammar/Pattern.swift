// SPDX-License-Identifier: Apache-2.0

/// What a piece of text may be.
package indirect enum Pattern: Sendable {
    /// Exactly these bytes.
    case bytes([UInt8])
    /// One character, in UTF-8.
    case scalar(ScalarSet)
    /// One after the other; without parts, the empty text.
    case sequence([Pattern])
    /// Any of them; without parts, nothing at all.
    case alternatives([Pattern])
    /// At most `maximum` times, or as often as wanted if that is nil.
    case repeated(Pattern, minimum: Int, maximum: Int?)
    /// What the rule of this number says.
    case rule(Int)

    package static let empty = Pattern.sequence([])

    static func text(_ text: String) -> Pattern { .bytes(Array(text.utf8)) }
    static func optional(_ pattern: Pattern) -> Pattern { .repeated(pattern, minimum: 0, maximum: 1) }
    static func character(_ text: String) -> Pattern { .scalar(ScalarSet(of: text)) }
    static let digit = Pattern.scalar(ScalarSet([0x30...0x39]))
}

/// Rules that refer to one another, and the first of which says what a text may be: a context-free grammar whose
/// terminals are characters and bytes.
package struct Grammar: Sendable {
    /// A rule and where it stands, for errors.
    package struct Rule: Sendable {
        package var name: String
        package var place: ConstraintError.Place
        package var pattern: Pattern

        package init(name: String, place: ConstraintError.Place, pattern: Pattern) {
            self.name = name
            self.place = place
            self.pattern = pattern
        }
    }

    package var rules: [Rule]

    package init(rules: [Rule] = []) { self.rules = rules }
}
