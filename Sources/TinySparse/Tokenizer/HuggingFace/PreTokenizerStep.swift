// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A step of `pre_tokenizer` in `tokenizer.json`: it cuts words into smaller ones, or changes them.
enum PreTokenizerStep: Sendable {
    /// What a text is cut at.
    enum Pattern: Sendable {
        /// The words of GPT-2, all of the text.
        case words
        case expression(RegularExpression)
        case string([UInt8])
        case digit
        case space
    }

    /// What becomes of a match.
    enum Behavior: Sendable {
        case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous
    }

    /// Which words get a space mark before them unless they have one.
    enum PrependScheme: Sendable {
        case always, first, never
    }

    case split(Pattern, Behavior, invert: Bool)
    case metaspace(mark: [UInt8], PrependScheme, split: Bool)
    /// Writes bytes in the alphabet of `ByteAlphabet`.
    case byteLevel(prefixSpace: Bool, usesExpression: Bool)

    /// Words in the making.
    struct Words {
        var text: [UInt8]
        var ranges: [Range<Int>]
        /// Whether the first word is where the text begins.
        var beginsText: Bool
    }

    func apply(to words: inout Words) {
        switch self {
        case .split(let pattern, let behavior, let invert):
            Self.split(&words, at: pattern, behavior, invert: invert)
        case .metaspace(let mark, let scheme, let splits):
            let beginsText = words.beginsText
            Self.rewrite(&words) { word, index, out in
                let isPrefixed = word.first == UInt8(ascii: " ") || word.starts(with: mark)
                if scheme == .always || (scheme == .first && index == 0 && beginsText), !isPrefixed { out += mark }
                for byte in word {
                    if byte == UInt8(ascii: " ") { out += mark } else { out.append(byte) }
                }
            }
            if splits { Self.split(&words, at: .string(mark), .mergedWithNext, invert: false) }
        case .byteLevel(let prefixSpace, let usesExpression):
            if prefixSpace {
                Self.rewrite(&words) { word, _, out in
                    if word.first != UInt8(ascii: " ") { out.append(UInt8(ascii: " ")) }
                    out += word
                }
            }
            if usesExpression { Self.split(&words, at: .words, .isolated, invert: false) }
            Self.rewrite(&words) { word, _, out in
                for byte in word { ByteAlphabet.append(byte, to: &out) }
            }
        }
    }

    /// Replaces every word by what `body` appends for it.
    private static func rewrite(
        _ words: inout Words, _ body: (_ word: ArraySlice<UInt8>, _ index: Int, _ out: inout [UInt8]) -> Void
    ) {
        var out: [UInt8] = []
        out.reserveCapacity(words.text.count + words.text.count / 2)
        for (index, range) in words.ranges.enumerated() {
            let start = out.count
            body(words.text[range], index, &out)
            words.ranges[index] = start..<out.count
        }
        words.text = out
    }

    private static func split(_ words: inout Words, at pattern: Pattern, _ behavior: Behavior, invert: Bool) {
        var ranges: [Range<Int>] = []
        var scratch = RegularExpression.Scratch()
        words.text.withUnsafeBufferPointer { text in
            for range in words.ranges {
                var splitter = Splitter(behavior)
                pattern.forEachPart(of: text, in: range, &scratch) { splitter.add($0, isMatch: $1 != invert) }
                ranges += splitter.words
            }
        }
        words.beginsText = words.beginsText && ranges.first?.lowerBound == words.ranges.first?.lowerBound
        words.ranges = ranges
    }
}

/// Makes words of matches and what lies between them.
private struct Splitter {
    private let behavior: PreTokenizerStep.Behavior
    private(set) var words: [Range<Int>] = []
    private var followsMatch = false

    init(_ behavior: PreTokenizerStep.Behavior) { self.behavior = behavior }

    mutating func add(_ part: Range<Int>, isMatch: Bool) {
        let joins =
            switch behavior {
            case .removed, .isolated: false
            case .mergedWithPrevious: isMatch && !followsMatch
            case .mergedWithNext: !isMatch && followsMatch
            case .contiguous: isMatch == followsMatch
            }
        followsMatch = isMatch
        if behavior == .removed, isMatch { return }
        if joins, let last = words.last {
            words[words.count - 1] = last.lowerBound..<part.upperBound
        } else {
            words.append(part)
        }
    }
}

extension PreTokenizerStep.Pattern {
    /// Calls `body` with every match and everything between matches; nothing is empty.
    fileprivate func forEachPart(
        of text: Bytes, in range: Range<Int>, _ scratch: inout RegularExpression.Scratch,
        _ body: (Range<Int>, _ isMatch: Bool) -> Void
    ) {
        switch self {
        case .words:
            PreTokenizer.gpt2.forEachWord(in: text.part(range)) {
                body($0.lowerBound + range.lowerBound..<$0.upperBound + range.lowerBound, true)
            }
        case .expression(let expression): expression.forEachPart(of: text, in: range, &scratch, body)
        case .string(let string): text.forEachPart(at: string, in: range, body)
        case .digit, .space:
            var start = range.lowerBound
            text.forEachCharacter(in: range) { code, character in
                guard matches(code) else { return }
                if start < character.lowerBound { body(start..<character.lowerBound, false) }
                body(character, true)
                start = character.upperBound
            }
            if start < range.upperBound { body(start..<range.upperBound, false) }
        }
    }

    private func matches(_ code: UInt32) -> Bool {
        switch self {
        case .digit: CharacterClass(code) == .number
        case .space: CharacterClass.isWhitespace(code)
        case .words, .expression, .string: false
        }
    }
}
