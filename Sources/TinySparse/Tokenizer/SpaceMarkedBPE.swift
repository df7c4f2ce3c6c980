// SPDX-License-Identifier: Apache-2.0

/// Byte-pair encoding of characters with spaces marked, as in the GGUF files of Gemma 4: whole lines are merged at once,
/// and characters that are no token become byte tokens.
///
/// Source: llama.cpp (`LLAMA_VOCAB_PRE_TYPE_GEMMA4`). Encoding a line of n bytes takes O(n log n).
struct SpaceMarkedBPE: Sendable {
    private let vocabulary: ByteStringTable
    private let model: RuleBPE

    /// - Parameter vocabulary: the token texts, numbered by id.
    /// - Throws: `malformedMerge`, or `malformedFile` for a merge rule whose tokens do not exist.
    init(vocabulary: ByteStringTable, merges: [[UInt8]]) throws(TokenizerError) {
        self.vocabulary = vocabulary
        var options = RuleBPE.Options()
        options.fallsBackToBytes = true
        model = try RuleBPE(vocabulary: vocabulary, rules: merges, addedOnly: [], special: [], options: options)
    }

    /// Appends the ids of a text. Bytes that are not UTF-8 count as U+FFFD.
    func encode(_ text: Bytes, into output: inout [Int32], scratch: inout PairMerges.Scratch) {
        let repaired = UTF8Repair.repaired(text, shortening: true) ?? Array(text)
        let marked = repaired.withUnsafeBufferPointer {
            SentencePieceBPE.marked($0, prefix: [])
        }
        marked.withUnsafeBufferPointer { text in
            var start = 0
            while start < text.count {
                let isNewline = text[start] == 0x0A
                var end = start + 1
                while end < text.count, (text[end] == 0x0A) == isNewline { end += 1 }
                let run = text.part(start..<end)
                if isNewline, let id = vocabulary.find(run) {
                    output.append(Int32(id))
                } else {
                    model.encode(run, into: &output, scratch: &scratch)
                }
                start = end
            }
        }
    }
}
