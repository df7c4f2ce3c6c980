// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reading `pre_tokenizer` of a `tokenizer.json`.
extension PreTokenizerStep {
    /// The expressions of `Split` pre-tokenizers, which hand-written scanners follow. Every one matches everything.
    private static let expressions: [(expression: String, rule: PreTokenizer)] = {
        let contractions = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)"#
        let rest = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        let words = #"|[^\r\n\p{L}\p{N}]?\p{L}+"#
        let gpt2 = #"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
        return [
            (contractions + words + #"|\p{N}{1,3}"# + rest, .llama3(maximumDigits: 3)),
            (contractions + words + #"|\p{N}"# + rest, .llama3(maximumDigits: 1)),
            ("'s|'t|'re|'ve|'m|'ll|'d" + gpt2, .gpt2),
            ("'(?:[sdmt]|ll|ve|re)" + gpt2, .gpt2),
        ]
    }()

    /// The steps of a pre-tokenizer; none for null.
    /// - Throws: `unsupportedPreTokenizer` naming what is not known.
    static func steps(_ json: JSON?) throws(TokenizerError) -> [PreTokenizerStep] {
        try flattened(json, "pretokenizers").map { (step) throws(TokenizerError) in try PreTokenizerStep(step) }
    }

    private init(_ json: JSON) throws(TokenizerError) {
        let type = json["type"]?.string ?? "unnamed"
        switch type {
        case "ByteLevel":
            self = .byteLevel(
                prefixSpace: json["add_prefix_space"]?.bool ?? false, usesExpression: json["use_regex"]?.bool ?? true)
        case "Metaspace": self = try Self.metaspace(json)
        case "Split": self = try Self.split(json)
        case "Digits":
            let isIndividual = json["individual_digits"]?.bool ?? false
            self = .split(.digit, isIndividual ? .isolated : .contiguous, invert: false)
        case "WhitespaceSplit": self = .split(.space, .removed, invert: false)
        default: throw .unsupportedPreTokenizer(type)
        }
    }

    private static func metaspace(_ json: JSON) throws(TokenizerError) -> PreTokenizerStep {
        let mark = json["replacement"]?.string ?? "\u{2581}"
        guard mark.unicodeScalars.count == 1 else {
            throw .unsupportedPreTokenizer("Metaspace with the replacement '\(printable(mark))'")
        }
        // Older files say less.
        let isPrepended = json["add_prefix_space"]?.bool ?? true
        let scheme: PrependScheme
        switch json["prepend_scheme"]?.string ?? (isPrepended ? "always" : "never") {
        case "always": scheme = isPrepended ? .always : .never
        case "first": scheme = .first
        case "never": scheme = .never
        case let other: throw .unsupportedPreTokenizer("Metaspace with the prepend_scheme '\(printable(other))'")
        }
        return .metaspace(mark: Array(mark.utf8), scheme, split: json["split"]?.bool ?? true)
    }

    private static func split(_ json: JSON) throws(TokenizerError) -> PreTokenizerStep {
        let invert = json["invert"]?.bool ?? false
        let behavior = try behavior(json)
        if let string = json["pattern"]?["String"]?.string, !string.isEmpty {
            return .split(.string(Array(string.utf8)), behavior, invert: invert)
        }
        let expression = json["pattern"]?["Regex"]?.string ?? "no expression"
        guard let rule = expressions.first(where: { $0.expression.utf8.elementsEqual(expression.utf8) })?.rule else {
            throw .unsupportedPreTokenizer("Split at \(printable(expression))")
        }
        return .split(.words(rule), behavior, invert: invert)
    }

    private static func behavior(_ json: JSON) throws(TokenizerError) -> Behavior {
        switch json["behavior"]?.string {
        case "Removed": return .removed
        case "Isolated": return .isolated
        case "MergedWithPrevious": return .mergedWithPrevious
        case "MergedWithNext": return .mergedWithNext
        case "Contiguous": return .contiguous
        case let other:
            throw .unsupportedPreTokenizer("Split with the behavior '\(printable(other ?? "none"))'")
        }
    }
}
