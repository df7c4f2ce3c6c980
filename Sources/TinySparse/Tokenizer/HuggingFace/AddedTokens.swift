// SPDX-License-Identifier: Apache-2.0

/// Finds the added tokens of a `tokenizer.json` in a text: the leftmost first, of those the longest.
struct AddedTokens: Sendable {
    /// How a token is recognized.
    struct Token: Sendable {
        var id: Int32
        var text: [UInt8]
        /// Whether it counts in trusted text only.
        var isSpecial = false
        /// Not beside a character of a word.
        var isSingleWord = false
        /// It takes the white space before it, or after it.
        var stripsLeft = false
        var stripsRight = false
        /// Whether it is searched in the normalized text.
        var isNormalized = false
    }

    private let tokens: [Token]
    private let matcher: PrefixMatcher

    init(_ tokens: [Token]) {
        self.tokens = tokens
        matcher = PrefixMatcher(tokens.enumerated().map { ($1.text, Int32($0)) })
    }

    var isEmpty: Bool { matcher.isEmpty }
    var hasSpecial: Bool { tokens.contains { $0.isSpecial } }

    /// The fragments of a text in order.
    /// - Parameter trusted: sorted disjoint ranges; a special token counts only within one of them.
    ///
    /// A text of n bytes takes O(n · longest token).
    func fragments(of text: Bytes, trusted: [Range<Int>]) -> [SpecialTokens.Fragment] {
        guard !text.isEmpty else { return [] }
        var fragments: [SpecialTokens.Fragment] = []
        var textStart = 0
        /// The end of the white space that tokens have taken.
        var takenEnd = 0
        var position = matcher.isEmpty ? text.count : 0
        var range = 0
        while position < text.count {
            while range < trusted.count, trusted[range].upperBound <= position { range += 1 }
            let isTrusted = range < trusted.count && trusted[range].lowerBound <= position
            let match = longestMatch(in: text, at: position, trustedEnd: isTrusted ? trusted[range].upperBound : 0)
            guard let match else {
                position += 1
                continue
            }
            let token = tokens[match.token]
            let start = position
            position += match.length
            if token.isSingleWord, isBesideWord(text, start, position) { continue }
            let tokenStart = token.stripsLeft ? text.spaceStart(before: start, from: textStart) : start
            if textStart < tokenStart { fragments.append(.text(textStart..<tokenStart)) }
            fragments.append(.token(token.id))
            textStart = position
            if token.stripsRight {
                // White space that a token before has taken is not read again.
                takenEnd = text.spaceEnd(from: max(position, takenEnd))
                textStart = takenEnd
            }
        }
        if textStart < text.count { fragments.append(.text(textStart..<text.count)) }
        return fragments
    }

    private func longestMatch(in text: Bytes, at position: Int, trustedEnd: Int) -> (token: Int, length: Int)? {
        var best: (token: Int, length: Int)?
        matcher.forEachMatch(in: text, at: position) { index, length in
            let index = Int(index)
            guard !tokens[index].isSpecial || position + length <= trustedEnd else { return }
            // Of tokens with one text the first counts.
            if let best, best.length == length, best.token < index { return }
            best = (index, length)
        }
        return best
    }

    private func isBesideWord(_ text: Bytes, _ start: Int, _ end: Int) -> Bool {
        (start > 0 && CharacterClass.isWord(text.characterBefore(start).code))
            || (end < text.count && CharacterClass.isWord(text.character(end).code))
    }
}
