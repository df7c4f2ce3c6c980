// SPDX-License-Identifier: Apache-2.0

import TinyTokenizer

extension Option {
    static let thinking = Option(
        "thinking", value: "MODE",
        "what a thinking model thinks (<think>): show: dim on a terminal, hide, or raw: as it is (default: show in chat, "
            + "raw in run)")
}

/// What is shown of a model's thinking.
enum ThinkingDisplay: String {
    case show, hide, raw

    /// - Parameter standard: without the option.
    /// - Throws: `Failure.usage`.
    init(_ arguments: Arguments, standard: ThinkingDisplay) throws(Failure) {
        guard let name = arguments.string("thinking") else {
            self = standard
            return
        }
        guard let mode = ThinkingDisplay(rawValue: name) else {
            throw arguments.invalid("thinking", "show, hide or raw")
        }
        self = mode
    }

    /// Writes parts of a text.
    /// - Parameter hasThought: whether thinking was shown that the answer is to be parted from.
    func show(_ parts: ThinkingSplitter.Parts, _ hasThought: inout Bool) throws(Failure) {
        if self == .show, !parts.thinking.isEmpty {
            if Console.outputHasStyles { try Console.write("\u{1B}[2m") }
            try Console.writeGenerated(parts.thinking)
            if Console.outputHasStyles { try Console.write("\u{1B}[0m") }
            hasThought = true
        }
        if hasThought, !parts.answer.isEmpty {
            try Console.write("\n\n")
            hasThought = false
        }
        if !parts.answer.isEmpty { try Console.writeGenerated(parts.answer) }
    }
}
