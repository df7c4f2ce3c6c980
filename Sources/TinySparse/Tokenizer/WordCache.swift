// SPDX-License-Identifier: Apache-2.0

/// The ids of words already seen in a text: natural text repeats its words, and a look-up is far
/// cheaper than merging.
struct WordCache {
    /// Longer words hardly repeat.
    private static let longestWord = 128
    /// The cache starts afresh beyond this many bytes of distinct words.
    private static let byteLimit = 1 << 20

    private var words = ByteStringTable(capacity: 256)
    private var ids: [Int32] = []
    /// Where the ids of word i end.
    private var ends: [Int] = []

    /// Appends the ids of a word to `output`, calling `encode` for a word not seen before.
    @inline(__always)
    mutating func append(_ word: Bytes, to output: inout [Int32], encode: (inout [Int32]) -> Void) {
        guard word.count <= Self.longestWord else { return encode(&output) }
        if words.byteCount > Self.byteLimit {
            words.removeAll()
            ids.removeAll(keepingCapacity: true)
            ends.removeAll(keepingCapacity: true)
        }
        let (number, isNew) = words.insert(word)
        if isNew {
            encode(&ids)
            ends.append(ids.count)
        }
        // Most words are one or two tokens, for which a loop is cheaper than the append of a slice.
        for i in (number == 0 ? 0 : ends[number - 1])..<ends[number] { output.append(ids[i]) }
    }
}
