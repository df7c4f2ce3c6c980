// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reading `pre_tokenizer` of a `tokenizer.json`.
extension PreTokenizerStep {
    /// The steps of a pre-tokenizer; none for null.
    /// - Throws: `unsupportedPreTokenizer` naming what is not known.
    static func steps(_ json: JSON?) throws(TokenizerError) -> [PreTokenizerStep] {
        var steps: [PreTokenizerStep] = []
        for step in flattened(json, "pretokenizers") {
            // White space is lost, and every punctuation mark is a word.
            if step["type"]?.string == "BertPreTokenizer" {
                steps += [.split(.space, .removed, invert: false), .split(try punctuation(), .isolated, invert: false)]
            } else {
                steps.append(try PreTokenizerStep(step))
            }
        }
        return steps
    }

    private static func punctuation() throws(TokenizerError) -> Pattern {
        try expression(#"[\p{P}!-/:-@\[-`{-~]"#)
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
        case "Whitespace":
            // What is a word differs from \w of other expressions: no fractions, but joiners.
            let word = #"[\w&&[^\p{No}]]\x{200C}\x{200D}"#
            self = .split(try Self.expression("[\(word)]+|[^\(word)\\s]+"), .removed, invert: true)
        case "Punctuation":
            self = .split(
                try Self.punctuation(), json["behavior"] == nil ? .isolated : try Self.behavior(json), invert: false)
        case "CharDelimiterSplit":
            guard let delimiter = json["delimiter"]?.string, !delimiter.isEmpty else {
                throw .unsupportedPreTokenizer("CharDelimiterSplit without a delimiter")
            }
            self = .split(.string(Array(delimiter.utf8)), .removed, invert: false)
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
        guard let expression = json["pattern"]?["Regex"]?.string else {
            throw .unsupportedPreTokenizer("Split without a pattern")
        }
        return .split(try Self.expression(expression), behavior, invert: invert)
    }

    private static func expression(_ source: String) throws(TokenizerError) -> Pattern {
        do { return .expression(try RegularExpression(source, .oniguruma)) } catch {
            throw .unsupportedPreTokenizer("Split at \(printable(source)): \(error.reason) is not supported")
        }
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
