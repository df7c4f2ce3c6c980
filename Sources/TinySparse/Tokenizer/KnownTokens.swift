// SPDX-License-Identifier: Apache-2.0

/// Tokens that mean the same in every vocabulary that has them, known by their texts because model
/// files seldom say.
///
/// Source: the lists of llama.cpp (`llama_vocab::impl::load`).
enum KnownTokens {
    /// Tokens that end a generation; also end a turn, the first one found.
    static let endOfTurn = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
        "<EOT>", "_<EOT>",
        "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>",
    ]

    /// Further tokens that end a generation.
    static let endOfGeneration =
        endOfTurn + [
            "<|eom_id|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "</s>", "[EOS]",
            "<eos>", "<turn|>",
            "<|tool_response>", "[e~[",
        ]

    /// `endOfGeneration` but for what means something else in some vocabularies: where calls of tools have a token, the end
    /// of a message is not the end of a turn, and Gemma 4 has markup among its tokens.
    static func ends(isKnown: (String) -> Bool) -> [String] {
        let endsMessages =
            (isKnown("<|return|>") && isKnown("<|call|>"))
            || (isKnown("<|flush|>") && (isKnown("<|call|>") || isKnown("<|calls|>")))
        let isGemma = isKnown("<|tool_response>")
        return endOfGeneration.filter { !(endsMessages && $0 == "<|end|>") && !(isGemma && $0 == "</s>") }
    }

    /// Tokens of fill-in-the-middle prompts after which nothing sensible follows.
    static let endOfFile = [
        "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
        "<fim-repo>", "<REPO>",
        "<reponame>", "<|file_sep|>",
    ]

    /// Further tokens that are control tokens even where the file calls them normal.
    static let control = [
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
        "<|code_prefix|>",
        "<|prefix|>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>",
        "▁<SUF>",
        "<|code_suffix|>", "<|suffix|>", "<|fim_middle|>", "<fim-middle>", "<fim_middle>",
        "<｜fim▁end｜>", "<MID>",
        "▁<MID>", "<|code_middle|>", "<|middle|>",
    ]
}
