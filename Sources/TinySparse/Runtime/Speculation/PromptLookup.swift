// SPDX-License-Identifier: Apache-2.0

/// Drafts out of the text itself: what followed where its last tokens stood before. Of several such places, the one
/// whose text before agrees longest, of equals the last (Saxena: Prompt lookup decoding, 2023).
///
/// A token costs O(1): places are found by the pair of tokens that ends there, of which at most `tries` are compared
/// over at most `longest` tokens.
final class PromptLookup: DraftSource {
    /// By how many tokens agree: 2, 3, 4, 5, 6 to 7, 8 and more.
    let expectations = [0.2, 0.35, 0.5, 0.6, 0.75, 0.9]
    let isFree = true
    private static let longest = 24
    private static let tries = 32

    /// The text so far.
    private var text: [Int32] = []
    /// For a pair of tokens, where it ended last; for a position, where the pair that ends there ended before that.
    private var last: [UInt64: Int32] = [:]
    private var earlier: [Int32] = []
    /// The tokens of the draft, where in the text or in the draft itself the next one is, and how many before it agree.
    private var draft: [Int32] = []
    private var source: Int?
    private var agreeing = 0

    func begin(_ tokens: [Int32], _ last: Int32, _: Sampler) {
        follow(tokens)
        append(last)
        draft = []
        (source, agreeing) = longestMatch()
    }

    func next() -> DraftToken? {
        guard let place = source else { return nil }
        let id = place < text.count ? text[place] : draft[place - text.count]
        let evidence = agreeing < 6 ? agreeing - 2 : agreeing < 8 ? 4 : 5
        draft.append(id)
        source = place + 1
        agreeing += 1
        return DraftToken(id: id, evidence: evidence)
    }

    /// Takes in the tokens that have come since; all of them if it was another text.
    private func follow(_ tokens: [Int32]) {
        if text.count > tokens.count || !text.elementsEqual(tokens.prefix(text.count)) {
            text = []
            earlier = []
            last = [:]
        }
        for token in tokens[text.count...] { append(token) }
    }

    private func append(_ token: Int32) {
        text.append(token)
        guard text.count > 1 else { return earlier.append(-1) }
        let place = Int32(text.count - 1)
        let pair = UInt64(UInt32(bitPattern: text[text.count - 2])) << 32 | UInt64(UInt32(bitPattern: token))
        earlier.append(last[pair] ?? -1)
        last[pair] = place
    }

    /// What is after the place that agrees best with the end of the text, and how many tokens agree.
    private func longestMatch() -> (after: Int?, count: Int) {
        guard let end = earlier.indices.last else { return (nil, 0) }
        var best = (after: Int?.none, count: 0)
        var place = Int(earlier[end])
        for _ in 0..<Self.tries where place >= 0 {
            var count = 2
            while count < Self.longest, count <= place, text[place - count] == text[end - count] { count += 1 }
            if count > best.count { best = (place + 1, count) }
            if count == Self.longest { break }
            place = Int(earlier[place])
        }
        return best
    }
}
