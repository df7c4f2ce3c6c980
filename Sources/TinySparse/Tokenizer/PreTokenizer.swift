// SPDX-License-Identifier: Apache-2.0

/// Cuts text into the words that byte-level BPE merges separately: hand-written scanners for the
/// regular expressions of the model families, linear in the text.
///
/// Source: the expressions and names of llama.cpp (`tokenizer.ggml.pre`), whose reading of them is
/// followed.
enum PreTokenizer: Sendable, Equatable {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    case gpt2
    /// Every `\p{N}` on its own, what is between them as GPT-2.
    case digitsThenGPT2
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)` or `[^\r\n\p{L}\p{N}]?\p{L}+` or `\p{N}{1,n}` or
    /// ` ?[^\s\p{L}\p{N}]+[\r\n]*` or `\s*[\r\n]+` or `\s+(?!\S)` or `\s+`, the first that fits.
    case llama3(maximumDigits: Int)
    /// Runs of `[\p{P}$+<=>^~|]`, between them GPT-2, in its words runs of `\p{N}`, in these groups
    /// of `[0-9]{3}`.
    case fallback

    /// The rule that a GGUF file names, and whether words that are tokens skip the merges; nil for
    /// an unknown name.
    static func named(_ name: String) -> (rule: PreTokenizer, ignoresMerges: Bool)? {
        switch name {
        case "", "default": (.fallback, false)
        case "gpt-2", "phi-2", "opt", "olmo", "mpt", "jais", "trillion", "exaone4",
            "granite-docling", "gigachat", "mellum":
            (.gpt2, false)
        case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b":
            (.digitsThenGPT2, false)
        case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2":
            (.llama3(maximumDigits: 3), true)
        case "smaug-bpe", "dbrx": (.llama3(maximumDigits: 3), false)
        case "qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan": (.llama3(maximumDigits: 1), false)
        default: nil
        }
    }

    /// Calls `emit` with each word in order; together the words are the whole text.
    /// - Parameter text: text that has passed `UTF8Repair`.
    @inline(__always)
    func forEachWord(in text: Bytes, _ emit: (Range<Int>) -> Void) {
        let all = 0..<text.count
        switch self {
        case .gpt2: Self.gpt2(text, all, emit)
        case .llama3(let digits): Self.llama3(text, all, digits, emit)
        case .digitsThenGPT2:
            Self.split(text, all, { $0.class == .number }, joined: false) { range, isMatch in
                if isMatch { emit(range) } else { Self.gpt2(text, range, emit) }
            }
        case .fallback:
            Self.split(text, all, { Self.isFallbackPunctuation(text, $0.position) }, joined: true) {
                range, isMatch in
                if isMatch {
                    emit(range)
                } else {
                    Self.gpt2(text, range) { Self.numbers(text, $0, emit) }
                }
            }
        }
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

    /// Cuts a range into characters that satisfy a predicate (each alone, or runs joined) and what
    /// lies between them.
    @inline(__always)
    private static func split(
        _ text: Bytes, _ range: Range<Int>,
        _ matches: ((class: CharacterClass, position: Int)) -> Bool, joined: Bool,
        _ part: (Range<Int>, _ isMatch: Bool) -> Void
    ) {
        var start = range.lowerBound
        var position = start
        var inMatch = false
        while position < range.upperBound {
            let (kind, length) = text.classify(position, range.upperBound)
            let isMatch = matches((kind, position))
            if position > start, isMatch != inMatch || (isMatch && !joined) {
                part(start..<position, inMatch)
                start = position
            }
            inMatch = isMatch
            position += length
        }
        if position > start { part(start..<position, inMatch) }
    }

    private static func isFallbackPunctuation(_ text: Bytes, _ position: Int) -> Bool {
        let byte = text[position]
        if byte >= 0x80 { return CharacterClass.isPunctuation(text.wide(position).code) }
        return byte > 0x20 && byte < 0x7F && CharacterClass(ascii: byte) == .other
            && byte != UInt8(ascii: "`")
    }

    private static func numbers(_ text: Bytes, _ range: Range<Int>, _ emit: (Range<Int>) -> Void) {
        split(text, range, { $0.class == .number }, joined: true) { run, isMatch in
            guard isMatch else { return emit(run) }
            var start = run.lowerBound
            var position = start
            while position + 3 <= run.upperBound {
                if (0..<3).allSatisfy({ text[position + $0] &- 0x30 < 10 }) {
                    if start < position { emit(start..<position) }
                    emit(position..<position + 3)
                    position += 3
                    start = position
                } else {
                    position += 1
                }
            }
            if start < run.upperBound { emit(start..<run.upperBound) }
        }
    }
}
