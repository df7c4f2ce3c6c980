// SPDX-License-Identifier: Apache-2.0

/// Cuts text into the words that byte-level BPE merges separately, linear in the text: by regular expressions, or, where it
/// pays, by hand-written scanners for those of the most used model families.
///
/// The scanners follow llama.cpp's reading of the expressions.
enum PreTokenizer: Sendable {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    case gpt2
    /// Every `\p{N}` on its own, what is between them as GPT-2.
    case digitsThenGPT2
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)` or `[^\r\n\p{L}\p{N}]?\p{L}+` or `\p{N}{1,n}` or
    /// ` ?[^\s\p{L}\p{N}]+[\r\n]*` or `\s*[\r\n]+` or `\s+(?!\S)` or `\s+`, the first that fits.
    case llama3(maximumDigits: Int)
    /// Each expression cuts the words that those before it have left, into matches and what lies between.
    case expressions([RegularExpression])

    /// Calls `emit` with each word in order; together the words are the whole text.
    /// - Parameter text: text that has passed `UTF8Repair`.
    @inline(__always)
    func forEachWord(in text: Bytes, _ emit: (Range<Int>) -> Void) {
        let all = 0..<text.count
        switch self {
        case .gpt2: Self.gpt2(text, all, emit)
        case .llama3(let digits): Self.llama3(text, all, digits, emit)
        case .digitsThenGPT2:
            Self.splitNumbers(text) { range, isMatch in
                if isMatch { emit(range) } else { Self.gpt2(text, range, emit) }
            }
        case .expressions(let expressions):
            var start = 0
            for end in Self.wordEnds(text, expressions) {
                emit(start..<end)
                start = end
            }
        }
    }

    /// Where the words end that the expressions cut one after the other.
    private static func wordEnds(_ text: Bytes, _ expressions: [RegularExpression]) -> [Int] {
        var scratch = RegularExpression.Scratch()
        var ends = text.isEmpty ? [] : [text.count]
        for expression in expressions {
            var finer: [Int] = []
            finer.reserveCapacity(ends.count * 2)
            var start = 0
            for end in ends {
                expression.forEachPart(of: text, in: start..<end, &scratch) { part, _ in finer.append(part.upperBound) }
                start = end
            }
            ends = finer
        }
        return ends
    }

    // MARK: - Scanners

    private static func gpt2(_ text: Bytes, _ range: Range<Int>, _ emit: (Range<Int>) -> Void) {
        let end = range.upperBound
        var position = range.lowerBound
        while position < end {
            let start = position
            let length = contraction(text, start, end, ignoringCase: false)
            if length > 0 {
                position += length
            } else {
                let bodyStart = text[start] == UInt8(ascii: " ") ? start + 1 : start
                let (kind, length) = text.classify(bodyStart, end)
                if kind == .space || kind == .end {
                    position = spaces(text, start, end)
                } else {
                    position = run(of: kind, text, bodyStart + length, end)
                }
            }
            emit(start..<position)
        }
    }

    private static func llama3(
        _ text: Bytes, _ range: Range<Int>, _ maximumDigits: Int, _ emit: (Range<Int>) -> Void
    ) {
        let end = range.upperBound
        var position = range.lowerBound
        while position < end {
            let start = position
            position = llama3Word(text, start, end, maximumDigits)
            emit(start..<position)
        }
    }

    /// The end of the word that begins at `start`.
    private static func llama3Word(_ text: Bytes, _ start: Int, _ end: Int, _ maximumDigits: Int)
        -> Int
    {
        let length = contraction(text, start, end, ignoringCase: true)
        if length > 0 { return start + length }
        let first = text.classify(start, end)
        let second = start + first.length
        switch first.class {
        case .letter:
            return run(of: .letter, text, second, end)
        case .number:
            var position = second
            for _ in 1..<max(1, maximumDigits) {
                let next = text.classify(position, end)
                guard next.class == .number else { break }
                position += next.length
            }
            return position
        default: break
        }
        let next = text.classify(second, end)
        if !isNewline(text[start]), next.class == .letter {
            return run(of: .letter, text, second + next.length, end)
        }
        if first.class == .other || (text[start] == UInt8(ascii: " ") && next.class == .other) {
            var position = run(of: .other, text, second, end)
            while position < end, isNewline(text[position]) { position += 1 }
            return position
        }
        return newlines(text, start, end) ?? spaces(text, start, end)
    }

    // MARK: - Parts of the expressions

    private static func isNewline(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

    /// The end of a run of characters of one class.
    @inline(__always)
    private static func run(of kind: CharacterClass, _ text: Bytes, _ start: Int, _ end: Int) -> Int {
        var position = start
        while true {
            let next = text.classify(position, end)
            guard next.class == kind else { return position }
            position += next.length
        }
    }

    /// `\s+(?!\S)|\s+`: white space but for its last character if text follows, and at least one
    /// character.
    private static func spaces(_ text: Bytes, _ start: Int, _ end: Int) -> Int {
        var position = start
        var last = start
        while true {
            let next = text.classify(position, end)
            guard next.class == .space else { break }
            last = position
            position += next.length
        }
        return position < end && last > start ? last : position
    }

    /// `\s*[\r\n]+`: the end of the last line break in the white space at `start`; nil if there is
    /// none.
    private static func newlines(_ text: Bytes, _ start: Int, _ end: Int) -> Int? {
        var position = start
        var found: Int?
        while true {
            let next = text.classify(position, end)
            guard next.class == .space else { return found }
            if isNewline(text[position]) { found = position + 1 }
            position += next.length
        }
    }

    /// The length of an English contraction at `start`, else 0.
    @inline(__always)
    private static func contraction(_ text: Bytes, _ start: Int, _ end: Int, ignoringCase: Bool)
        -> Int
    {
        guard text[start] == UInt8(ascii: "'"), start + 1 < end else { return 0 }
        // Only letters are folded: the bit would also make letters of other characters, but none of
        // the eight below.
        let fold: UInt8 = ignoringCase ? 0x20 : 0
        let first = text[start + 1] | fold
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return 2
        default: break
        }
        guard start + 2 < end else { return 0 }
        switch (first, text[start + 2] | fold) {
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
            (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return 3
        default: return 0
        }
    }

    /// Cuts a text into its numbers, each alone, and what lies between them.
    @inline(__always)
    private static func splitNumbers(_ text: Bytes, _ part: (Range<Int>, _ isMatch: Bool) -> Void) {
        var start = 0
        var position = 0
        while position < text.count {
            let (kind, length) = text.classify(position, text.count)
            if kind == .number {
                if start < position { part(start..<position, false) }
                part(position..<position + length, true)
                start = position + length
            }
            position += length
        }
        if start < position { part(start..<position, false) }
    }
}
