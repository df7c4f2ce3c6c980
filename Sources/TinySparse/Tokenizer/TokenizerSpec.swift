// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A vocabulary as model files carry it: the metadata of a GGUF file, or what a Hugging Face
/// `tokenizer.json` says translated into the same terms. Plain data, checked only when a
/// `Tokenizer` is made of it.
///
/// Source of the field meanings: the GGUF specification, keys `tokenizer.ggml.*`.
package struct TokenizerSpec: Sendable {
    /// The kind of a token, numbered as `tokenizer.ggml.token_type` does.
    package enum TokenType: Int32, Sendable {
        case undefined = 0, normal, unknown, control, userDefined, unused, byte
    }

    /// The model of vocabularies that come from a Hugging Face `tokenizer.json`.
    package static let huggingFace = "huggingface"

    /// "gpt2" (byte-level BPE), "gemma4" (BPE of characters), "llama" (SentencePiece BPE by score), "t5" / "unigram"
    /// (SentencePiece unigram), all as in llama.cpp; "sentencepiece-bpe" and "sentencepiece-unigram", as in SentencePiece;
    /// or "huggingface" (as `settings` say).
    package var model: String
    /// The name of the rule that cuts text into words before BPE; used by "gpt2" only.
    package var pre: String
    /// The texts of the tokens as stored (for "gpt2" in the GPT-2 byte alphabet).
    package var tokens: [[UInt8]]
    /// One score for each token; needed by "llama" and "unigram".
    package var scores: [Double]?
    /// One `TokenType` raw value for each token; nil when all are normal.
    package var types: [Int32]?
    /// The merge rules "left right" of byte-level BPE, best first.
    package var merges: [[UInt8]]
    package var bos: Int32?
    package var eos: Int32?
    package var unknown: Int32?
    package var padding: Int32?
    /// End of turn.
    package var eot: Int32?
    /// Further tokens that end a generation.
    package var endOfGeneration: [Int32]
    /// Whether `encode(addSpecial: true)` begins with BOS; nil when the file is silent: the model's
    /// own default.
    package var addBOS: Bool?
    /// Whether `encode(addSpecial: true)` ends with EOS; nil when the file is silent: the model's
    /// own default.
    package var addEOS: Bool?
    /// Whether text is given a leading space; nil when the file is silent: the model's own default.
    package var addSpacePrefix: Bool?
    /// Whether runs of spaces become one; used by "unigram" and SentencePiece only.
    package var removeExtraWhitespace: Bool
    /// Replacements of characters, `precompiled_charsmap`, used by "unigram" and SentencePiece only.
    package var characterMap: [UInt8]?
    /// The Jinja source of the chat template.
    package var chatTemplate: String?
    /// What a `tokenizer.json` says besides tokens and merges, needed by "huggingface": its sections
    /// `normalizer`, `pre_tokenizer`, `post_processor` and `decoder`, the options of its `model`, and
    /// its `added_tokens`, of which an id and the flags that are true are kept, and `in_vocab` for
    /// those that are also in the vocabulary.
    package var settings: JSON?
    /// What is odd about the source, and how it is understood; not stored in files.
    package var notes: [String] = []

    package init(
        model: String, pre: String = "default", tokens: [[UInt8]], scores: [Double]? = nil,
        types: [Int32]? = nil,
        merges: [[UInt8]] = [], bos: Int32? = nil, eos: Int32? = nil, unknown: Int32? = nil,
        padding: Int32? = nil,
        eot: Int32? = nil, endOfGeneration: [Int32] = [], addBOS: Bool? = nil, addEOS: Bool? = nil,
        addSpacePrefix: Bool? = nil,
        removeExtraWhitespace: Bool = false, chatTemplate: String? = nil, settings: JSON? = nil
    ) {
        self.model = model
        self.pre = pre
        self.tokens = tokens
        self.scores = scores
        self.types = types
        self.merges = merges
        self.bos = bos
        self.eos = eos
        self.unknown = unknown
        self.padding = padding
        self.eot = eot
        self.endOfGeneration = endOfGeneration
        self.addBOS = addBOS
        self.addEOS = addEOS
        self.addSpacePrefix = addSpacePrefix
        self.removeExtraWhitespace = removeExtraWhitespace
        self.chatTemplate = chatTemplate
        self.settings = settings
    }
}
