// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyTokenizer

/// Where a session takes drafts from: tokens that may come next, evaluated together with the token that was chosen, because
/// a block of tokens costs little more than one. What is chosen, and with which random numbers, stays the same to the bit;
/// a draft that is wrong costs time only (Leviathan et al.: Fast inference from transformers via speculative decoding,
/// ICML 2023; here the draft is compared with the token that the sampler chooses).
///
/// How many tokens a draft has is decided at every step, by how often drafts were right and by the measured time of blocks,
/// so that a text for which there are no good drafts is at most 3 % slower (`DraftPlanner`).
public enum Speculation: Sendable {
    /// No drafts.
    case off
    /// What followed the last few tokens earlier in the text.
    case promptLookup
    /// The same model, with the neurons and heads of `Session.Options.sparsity`; the text is that of all of them.
    case selfDraft
    /// Another model, which has the same vocabulary and is small beside this one.
    case draftModel(Model)

    /// Most tokens of a draft.
    static let longest = 15

    /// Whether tokens are chosen by the dense model although the session has a sparsity.
    var isDense: Bool {
        if case .selfDraft = self { true } else { false }
    }

    /// - Throws: `RuntimeError.badOption` if a draft of this kind cannot be had.
    func check(_ model: Model, _ sparsity: Sparsity) throws(RuntimeError) {
        switch self {
        case .off, .promptLookup: break
        case .selfDraft:
            if case .off = sparsity { throw .badOption("self-drafts are sparse: they need a sparsity that is not off") }
            guard !model.config.predictors.isEmpty else {
                throw .badOption(
                    "\(model.config.name) has no predictors, which self-drafts need; tinysparse train-predictors makes some"
                )
            }
        case .draftModel(let draft): try Self.check(draft, isOfTheVocabularyOf: model)
        }
    }

    /// Models of one family have vocabularies of different sizes now and then, padded with tokens that never occur.
    private static func check(_ draft: Model, isOfTheVocabularyOf model: Model) throws(RuntimeError) {
        let common = min(draft.tokenizer.vocabularySize, model.tokenizer.vocabularySize)
        for id in 0..<Int32(common) where draft.tokenizer.piece(of: id) != model.tokenizer.piece(of: id) {
            throw .badOption(
                "the draft model \(draft.config.name) has another vocabulary than \(model.config.name): "
                    + "they differ in token \(id)")
        }
    }
}

/// What drafts did since a session was made.
public struct SpeculationActivity: Sendable {
    /// Tokens of drafts that were evaluated.
    public package(set) var drafted = 0
    /// Those of them that were chosen.
    public package(set) var accepted = 0
}
