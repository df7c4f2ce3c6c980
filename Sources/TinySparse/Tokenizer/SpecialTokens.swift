// SPDX-License-Identifier: Apache-2.0

/// Cuts the texts of special tokens out of a text, before it is tokenized.
struct SpecialTokens: Sendable {
    /// A piece of a text: bytes to tokenize, or a special token.
    enum Fragment: Equatable {
        case text(Range<Int>)
        case token(Int32)
    }

    private struct Match {
        var id: Int32
        var start: Int
        var length: Int
    }

    private let matcher: PrefixMatcher
    /// Tokens that count anywhere in a text; the others only where the text is trusted.
    private let userDefined: Set<Int32>

    init(vocabulary: ByteStringTable, types: [TokenizerSpec.TokenType]) {
        var entries: [(string: [UInt8], value: Int32)] = []
        var userDefined: Set<Int32> = []
        for (id, type) in types.enumerated()
        where type == .control || type == .unknown || type == .userDefined {
            entries.append((Array(vocabulary.string(id)), Int32(id)))
            if type == .userDefined { userDefined.insert(Int32(id)) }
        }
        matcher = PrefixMatcher(entries)
        self.userDefined = userDefined
    }

    /// The fragments of a text in order. Where matches overlap the longer token wins, then the
    /// lower id, then the leftmost, as in llama.cpp, which searches for one token after the other.
    /// - Parameter trusted: sorted disjoint ranges; a control token counts only if it lies within
    ///   one of them.
    ///
    /// A text of n bytes with k matches takes O(n · longest token + k log k).
    func fragments(of text: Bytes, trusted: [Range<Int>]) -> [Fragment] {
        guard !text.isEmpty else { return [] }
        var matches: [Match] = []
        if !(matcher.isEmpty || trusted.isEmpty && userDefined.isEmpty) {
            var range = 0
            for position in 0..<text.count {
                while range < trusted.count, trusted[range].upperBound <= position { range += 1 }
                let trustedEnd =
                    range < trusted.count && trusted[range].lowerBound <= position
                    ? trusted[range].upperBound : 0
                matcher.forEachMatch(in: text, at: position) { id, length in
                    if position + length <= trustedEnd || userDefined.contains(id) {
                        matches.append(Match(id: id, start: position, length: length))
                    }
                }
            }
        }
        guard !matches.isEmpty else { return [.text(0..<text.count)] }
        return cut(text.count, disjoint(matches, in: text.count))
    }

    /// The matches that win, in the order of the text.
    private func disjoint(_ matches: [Match], in count: Int) -> [Match] {
        var taken = Array(repeating: false, count: count)
        let byPriority = matches.sorted {
            ($1.length, $0.id, $0.start) < ($0.length, $1.id, $1.start)
        }
        // No shorter match comes before a longer one, so that testing the two ends suffices.
        let winners = byPriority.filter { match in
            guard !taken[match.start], !taken[match.start + match.length - 1] else { return false }
            for i in match.start..<match.start + match.length { taken[i] = true }
            return true
        }
        return winners.sorted { $0.start < $1.start }
    }

    private func cut(_ count: Int, _ matches: [Match]) -> [Fragment] {
        var fragments: [Fragment] = []
        var position = 0
        for match in matches {
            if match.start > position { fragments.append(.text(position..<match.start)) }
            fragments.append(.token(match.id))
            position = match.start + match.length
        }
        if position < count { fragments.append(.text(position..<count)) }
        return fragments
    }
}
