// SPDX-License-Identifier: Apache-2.0

/// SentencePiece BPE by score (Llama 2): the characters of a text are merged pair by pair into
/// tokens, the highest score first, the leftmost first among equals; characters that are no token
/// become byte tokens.
///
/// Source: Kudo and Richardson 2018 (arXiv:1808.06226); choices in odd cases follow llama.cpp.
/// Encoding n bytes takes O(n log n) steps, each at most as long as the longest token.
struct SentencePieceBPE: Sendable {
    /// U+2581, which stands for a space.
    static let spaceMark: [UInt8] = [0xE2, 0x96, 0x81]

    private let vocabulary: ByteStringTable
    private let scores: [Float]
    private let longestToken: Int
    /// The token for each byte of a character that is no token; -1 if there is none.
    private let byteTokens: [Int32]
    /// Whether no token has a space mark after another character: then words are independent and
    /// can be cached.
    private let wordsAreIndependent: Bool
    /// What each token is to SentencePiece itself; empty for llama.cpp, to which all are the same.
    private let types: [TokenizerSpec.TokenType]

    /// - Parameters:
    ///   - vocabulary: the token texts, numbered by id.
    ///   - types: as SentencePiece has it, control tokens are no merge's result, and unused ones are taken apart again;
    ///     llama.cpp makes no difference: empty.
    init(vocabulary: ByteStringTable, scores: [Float], unknown: Int32?, types: [TokenizerSpec.TokenType] = []) {
        self.vocabulary = vocabulary
        self.scores = scores
        self.types = types
        var longest = 0
        var independent = true
        for id in 0..<vocabulary.count {
            let text = vocabulary.string(id)
            longest = max(longest, text.count)
            independent = independent && !Self.hasInnerMark(Array(text))
        }
        longestToken = longest
        wordsAreIndependent = independent
        let bytes = Unigram.byteTokens(vocabulary)
        byteTokens = (0..<256).map { byte in
            if !bytes.isEmpty { return bytes[byte] }
            let single = types.isEmpty ? vocabulary.find([UInt8(byte)]).map { Int32($0) } : nil
            return single ?? unknown ?? -1
        }
    }

    private static func hasInnerMark(_ text: [UInt8]) -> Bool {
        text.withUnsafeBufferPointer { text in
            var position = 0
            while position + 3 <= text.count, isMark(text, position) { position += 3 }
            while position + 3 <= text.count {
                if isMark(text, position) { return true }
                position += 1
            }
            return false
        }
    }

    @inline(__always)
    static func isMark(_ text: Bytes, _ position: Int) -> Bool {
        position + 3 <= text.count && text[position] == 0xE2 && text[position + 1] == 0x96
            && text[position + 2] == 0x81
    }

    /// Appends the ids of a text, which gets a leading space if asked for.
    func encode(
        _ text: Bytes, spacePrefix: Bool, into output: inout [Int32], scratch: inout Scratch
    ) {
        Self.marked(text, prefix: spacePrefix ? Self.spaceMark : []).withUnsafeBufferPointer {
            encode(marked: $0, into: &output, scratch: &scratch)
        }
    }

    /// The prefix, and a text with its spaces marked.
    static func marked(_ text: Bytes, prefix: [UInt8]) -> [UInt8] {
        var marked = prefix
        marked.reserveCapacity(prefix.count + text.count + text.count / 2)
        for byte in text {
            if byte == UInt8(ascii: " ") { marked += spaceMark } else { marked.append(byte) }
        }
        return marked
    }

    /// Appends the ids of a text whose spaces are marked.
    func encode(marked: Bytes, into output: inout [Int32], scratch: inout Scratch) {
        var start = 0
        while start < marked.count {
            let end = wordsAreIndependent ? wordEnd(marked, start) : marked.count
            let word = marked.part(start..<end)
            start = end
            if scratch.cache.append(word, to: &output) { continue }
            let first = output.count
            encode(word: word, into: &output, merger: &scratch.merger)
            scratch.cache.insert(word, output[first...])
        }
    }

    /// The end of a word: space marks and then other characters. Steps by whole characters, as
    /// merging does.
    private func wordEnd(_ text: Bytes, _ start: Int) -> Int {
        var position = start
        while Self.isMark(text, position) { position += 3 }
        while position < text.count, !Self.isMark(text, position) {
            position += Self.characterLength(text, position)
        }
        return position
    }

    /// The length that the first byte announces; nothing is checked, as in llama.cpp.
    @inline(__always)
    private static func characterLength(_ text: Bytes, _ position: Int) -> Int {
        let lead = text[position]
        return min(lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4, text.count - position)
    }

    private func encode(word: Bytes, into output: inout [Int32], merger: inout Merger) {
        merger.start(word)
        for left in 0..<(merger.lengths.count - 1) { propose(word, left, left + 1, &merger) }
        while let best = merger.heap.pop() {
            let left = Int(best.left)
            let right = Int(best.right)
            // A candidate is stale once either side is gone or has grown.
            guard merger.lengths[left] > 0, merger.lengths[right] > 0,
                merger.lengths[left] + merger.lengths[right] == best.length
            else { continue }
            merger.merge(left, right)
            if merger.previous[left] >= 0 {
                propose(word, Int(merger.previous[left]), left, &merger)
            }
            if merger.next[left] >= 0 { propose(word, left, Int(merger.next[left]), &merger) }
        }
        var node = 0
        while node >= 0 {
            append(word, merger.range(node), merger.splits, &output)
            node = Int(merger.next[node])
        }
    }

    /// Appends the ids of a piece; one that is unused comes apart into those that it was merged of.
    private func append(_ word: Bytes, _ range: Range<Int>, _ splits: [Int32: Int32], _ output: inout [Int32]) {
        var parts = [range]
        while let part = parts.popLast() {
            let piece = word.part(part)
            guard let id = vocabulary.find(piece) else {
                for byte in piece where byteTokens[Int(byte)] >= 0 { output.append(byteTokens[Int(byte)]) }
                continue
            }
            if let left = splits[Int32(id)], left < part.count {
                let middle = part.lowerBound + Int(left)
                parts += [middle..<part.upperBound, part.lowerBound..<middle]
            } else {
                output.append(Int32(id))
            }
        }
    }

    @inline(__always)
    private func propose(_ word: Bytes, _ left: Int, _ right: Int, _ merger: inout Merger) {
        let length = merger.lengths[left] + merger.lengths[right]
        guard length <= longestToken else { return }
        let start = Int(merger.starts[left])
        guard let id = vocabulary.find(word.part(start..<start + Int(length))) else { return }
        if !types.isEmpty {
            switch types[id] {
            case .normal, .userDefined: break
            case .unused: merger.splits[Int32(id)] = merger.lengths[left]
            case .control, .unknown, .byte, .undefined: return
            }
        }
        merger.heap.push(
            Candidate(score: scores[id], left: Int32(left), right: Int32(right), length: length))
    }

    fileprivate struct Candidate: Comparable {
        var score: Float
        var left: Int32
        var right: Int32
        var length: Int32

        static func < (a: Candidate, b: Candidate) -> Bool {
            a.score != b.score ? a.score > b.score : a.left < b.left
        }
    }

    /// Memory that encoding reuses from word to word.
    struct Scratch {
        fileprivate var cache = WordCache()
        fileprivate var merger = Merger()
    }

    /// A word in the making: a doubly linked list of pieces in arrays. A piece merged into its left
    /// neighbor has length 0.
    fileprivate struct Merger {
        var starts: [Int32] = []
        var lengths: [Int32] = []
        var previous: [Int32] = []
        var next: [Int32] = []
        var heap = MinHeap<Candidate>()
        /// The length of the left part of each unused token that was made.
        var splits: [Int32: Int32] = [:]

        mutating func start(_ word: Bytes) {
            if !splits.isEmpty { splits = [:] }
            starts.removeAll(keepingCapacity: true)
            lengths.removeAll(keepingCapacity: true)
            previous.removeAll(keepingCapacity: true)
            next.removeAll(keepingCapacity: true)
            var position = 0
            while position < word.count {
                let length = SentencePieceBPE.characterLength(word, position)
                let index = Int32(starts.count)
                starts.append(Int32(position))
                lengths.append(Int32(length))
                position += length
                previous.append(index - 1)
                next.append(position < word.count ? index + 1 : -1)
            }
        }

        mutating func merge(_ left: Int, _ right: Int) {
            lengths[left] += lengths[right]
            lengths[right] = 0
            next[left] = next[right]
            if next[right] >= 0 { previous[Int(next[right])] = Int32(left) }
        }

        func range(_ node: Int) -> Range<Int> {
            Int(starts[node])..<Int(starts[node] + lengths[node])
        }
    }
}
