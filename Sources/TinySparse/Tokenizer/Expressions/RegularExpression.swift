// SPDX-License-Identifier: Apache-2.0

/// A regular expression that finds its matches, leftmost first and with the preferences of a backtracking matcher, in
/// linear time whatever the expression and the text.
///
/// One pass from the end of the text to its start runs a deterministic automaton, whose state says of each instruction
/// whether a match can be reached from here. With that, a pass forward never tries in vain: it takes the preferred of the
/// branches that lead to a match. Lookaheads of any length are part of the same automaton.
///
/// Source: Rabin and Scott 1959 (doi:10.1147/rd.32.0114) for the automaton.
struct RegularExpression: Sendable {
    /// The state of the backward pass at each byte of a text; memory that is reused.
    typealias Scratch = [UInt16]

    /// Whether a match can be empty.
    let canBeEmpty: Bool
    private let automaton: BackwardAutomaton

    /// - Throws: `ExpressionError` naming what is not understood.
    init(_ source: String, _ dialect: ExpressionParser.Dialect) throws(ExpressionError) {
        guard source.utf8.count <= 1 << 14 else { throw ExpressionError("more than 16 KiB") }
        let node = try ExpressionParser.parse(source, dialect)
        canBeEmpty = node.canBeEmpty
        automaton = try BackwardAutomaton(ExpressionProgram(node))
    }

    /// Calls `body` with every match and with what lies between, in order; nothing is empty, and an empty match cuts.
    /// A range is a text of its own: nothing is seen of what lies around. Linear in its length.
    /// - Parameter text: text that has passed `UTF8Repair`.
    @inline(__always)
    func forEachPart(
        of text: Bytes, in range: Range<Int>, _ scratch: inout Scratch,
        _ body: (_ part: Range<Int>, _ isMatch: Bool) -> Void
    ) {
        automaton.run(over: text, range, &scratch)
        let base = range.lowerBound
        var position = base
        var start = base
        scratch.withUnsafeBufferPointer { states in
            while position < range.upperBound {
                guard let end = automaton.matchEnd(text, position, states, base) else {
                    position += text.characterLength(position)
                    continue
                }
                if start < position { body(start..<position, false) }
                start = end
                if end > position {
                    body(position..<end, true)
                    position = end
                } else {
                    position += text.characterLength(position)
                }
            }
        }
        if start < position { body(start..<position, false) }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// The length of the character at `position`, whose text has passed `UTF8Repair`.
    @inline(__always)
    func characterLength(_ position: Int) -> Int {
        let lead = self[position]
        return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    }
}
