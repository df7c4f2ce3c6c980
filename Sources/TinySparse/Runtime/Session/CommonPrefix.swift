// SPDX-License-Identifier: Apache-2.0

extension Collection<Int32> {
    /// How many tokens two texts have in common at their beginnings. O(that).
    package func commonPrefix(with other: some Collection<Int32>) -> Int {
        var count = 0
        for (a, b) in zip(self, other) {
            if a != b { break }
            count += 1
        }
        return count
    }
}

extension Session {
    /// Forgets what a prompt does not begin with.
    /// - Returns: what of the prompt is still to be evaluated: at least its last token, whose logits choose the next.
    package func keepBeginning(of prompt: [Int32]) -> ArraySlice<Int32> {
        let common = tokens.commonPrefix(with: prompt.dropLast())
        rewind(to: common)
        return prompt[common...]
    }
}
