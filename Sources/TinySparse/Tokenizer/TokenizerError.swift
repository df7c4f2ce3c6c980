// SPDX-License-Identifier: Apache-2.0

/// Why a vocabulary cannot be used.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The tokenizer model is none of those implemented.
    case unsupportedModel(String)
    /// The pre-tokenizer (the rule that cuts text into words) is none of those implemented.
    case unsupportedPreTokenizer(String)
    /// A section of a `tokenizer.json` holds something that is none of what is implemented.
    case unsupportedSetting(section: String, value: String, supported: String)
    /// The vocabulary is empty or holds more tokens than an `Int32` id can name.
    case badTokenCount(Int)
    /// A per-token list does not have one entry for each token.
    case countMismatch(field: String, expected: Int, found: Int)
    /// A token is longer than `Tokenizer.maximumTokenLength` bytes.
    case tokenTooLong(id: Int, bytes: Int)
    /// A score is not a number.
    case badScore(id: Int)
    /// A special token's id is outside the vocabulary.
    case idOutOfRange(field: String, id: Int)
    /// A merge rule is not two non-empty parts separated by a space.
    case malformedMerge(Int)
    /// The model needs a list that the file does not have.
    case missing(field: String)
    /// The tokenizer file is malformed.
    case malformedFile(String)

    /// What is wrong with the vocabulary.
    public var description: String {
        switch self {
        case .unsupportedModel(let name): "tokenizer: unsupported model '\(name)'"
        case .unsupportedPreTokenizer(let name): "tokenizer: unsupported pre-tokenizer '\(name)'"
        case .unsupportedSetting(let section, let value, let supported):
            "tokenizer: the \(section) '\(value)' of tokenizer.json is not supported; supported are \(supported)"
        case .badTokenCount(let count): "tokenizer: unusable number of tokens \(count)"
        case .countMismatch(let field, let expected, let found):
            "tokenizer: \(field) has \(found) entries, not \(expected)"
        case .tokenTooLong(let id, let bytes): "tokenizer: token \(id) has \(bytes) bytes"
        case .badScore(let id): "tokenizer: the score of token \(id) is not a number"
        case .idOutOfRange(let field, let id):
            "tokenizer: \(field) id \(id) is outside the vocabulary"
        case .malformedMerge(let index): "tokenizer: merge rule \(index) is malformed"
        case .missing(let field): "tokenizer: \(field) missing"
        case .malformedFile(let reason): "tokenizer: \(reason)"
        }
    }
}
