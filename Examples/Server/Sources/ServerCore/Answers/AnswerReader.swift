// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// Makes pieces of an answer out of what the engine gives, and counts.
struct AnswerReader {
    private struct Choice {
        /// Where a model's thinking is told from its answer.
        var splitter: ThinkingSplitter?
        /// Code points of the tokens so far.
        var offset = 0
    }

    private var choices: [Choice]
    private let tokenizer: Tokenizer
    /// Choices of each prompt, whose tokens count once.
    private let choicesPerPrompt: Int
    private(set) var usage: Usage

    /// - Parameter thinkingAfter: the text of a conversation's prompt; nil for a text in which nobody thinks.
    init(_ texts: [Job.Text], choicesPerPrompt: Int, _ tokenizer: Tokenizer, thinkingAfter prompt: String?) {
        choices = texts.map { _ in Choice(splitter: prompt.map { ThinkingSplitter(after: $0) }) }
        self.choicesPerPrompt = choicesPerPrompt
        self.tokenizer = tokenizer
        let prompts = stride(from: 0, to: texts.count, by: choicesPerPrompt)
        usage = Usage(promptTokens: prompts.reduce(0) { $0 + texts[$1].prompt.count })
    }

    /// What an output adds to its choice.
    mutating func piece(_ index: Int, _ output: Batch.Output) -> Piece {
        var piece = Piece(index: index)
        if choices[index].splitter != nil {
            var parts = [choices[index].splitter!.feed(output.text)]
            if output.isLast { parts.append(choices[index].splitter!.finish()) }
            piece.reasoning = parts.map { $0.thinking }.joined()
            piece.content = parts.map { $0.answer }.joined()
        } else {
            piece.content = output.text
        }
        if let choice = output.choice { piece.tokens = [probability(choice, &choices[index].offset)] }
        guard output.isLast else { return piece }
        piece.reason = output.reason == .maxTokens || output.reason == .contextFull ? .length : .stop
        usage.completionTokens += output.tokens
        if index % choicesPerPrompt == 0 { usage.cachedTokens += output.sharedTokens }
        return piece
    }

    private func probability(_ choice: TokenChoice, _ offset: inout Int) -> TokenProbability {
        let probability = TokenProbability(
            chosen: .init(choice.chosen, tokenizer), mostLikely: choice.mostLikely.map { .init($0, tokenizer) },
            offset: offset)
        // Code points that begin in this token.
        offset += probability.chosen.bytes.count { $0 & 0xC0 != 0x80 }
        return probability
    }
}

/// What an answer cost: OpenAI's `usage`.
struct Usage: Encodable {
    var promptTokens: Int
    var completionTokens = 0
    /// Tokens of prompts that were there already.
    var cachedTokens = 0

    private enum Key: String, CodingKey {
        case prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details
    }
    private enum DetailKey: String, CodingKey { case cached_tokens }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(promptTokens, forKey: .prompt_tokens)
        try container.encode(completionTokens, forKey: .completion_tokens)
        try container.encode(promptTokens + completionTokens, forKey: .total_tokens)
        var details = container.nestedContainer(keyedBy: DetailKey.self, forKey: .prompt_tokens_details)
        try details.encode(cachedTokens, forKey: .cached_tokens)
    }
}
