// SPDX-License-Identifier: Apache-2.0

/// What can go wrong when a valid model runs.
public enum RuntimeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A token id that the vocabulary does not have.
    case tokenOutOfRange(Int32, vocabularySize: Int)
    /// More tokens than the session's context holds.
    case contextFull(limit: Int)
    /// The logits after the token at this position are not all finite: the model's weights are damaged or too large.
    case nonFiniteLogits(position: Int)
    case outOfMemory(bytes: Int)
    /// An option has an invalid value.
    case badOption(String)
    /// A text cannot be what it has to be: the constraint is too ambiguous to be followed, or the vocabulary too small for it.
    case constraint(String)
    /// There is nothing to work on.
    case emptyInput(String)

    /// What is wrong and, where something can be done, what.
    public var description: String {
        switch self {
        case .tokenOutOfRange(let id, let size):
            "token \(id) is not in the vocabulary of \(size) tokens"
        case .contextFull(let limit):
            "the context of \(limit) tokens is full"
        case .nonFiniteLogits(let position):
            "the logits at position \(position) are not finite; the model's weights are damaged or too large: "
                + "get or convert the model again"
        case .outOfMemory(let bytes): "cannot get \(bytes) bytes of memory; ask for a smaller context"
        case .badOption(let text): text
        case .constraint(let text): "the constraint: \(text)"
        case .emptyInput(let text): text
        }
    }
}
