// SPDX-License-Identifier: Apache-2.0

/// What the name of a pre-tokenizer in a GGUF file, `tokenizer.ggml.pre`, says of a vocabulary.
///
/// Source: llama.cpp (`llama_vocab::impl::load`, `llm_tokenizer_bpe`), whose reading of the expressions is followed, also
/// where it differs from the tokenizer.json they come from: it takes all of `\p{Lu}`, `\p{Ll}`, `\p{Lt}`, `\p{Lm}` and
/// `\p{Lo}` for `\p{L}`.
struct NamedPreTokenizer {
    var rule: Rule
    /// Whether a word that is a token is encoded as this token, whatever the merges say.
    var ignoresMerges = false
    /// Whether texts begin with BOS where the file does not say so.
    var addsBOS = false
    /// Whether tokens are characters, spaces written as space marks, and not bytes.
    var isOfCharacters = false

    enum Rule {
        case scanner(PreTokenizer)
        case expressions([String])
    }

    /// - Throws: `unsupportedPreTokenizer` for an unknown name.
    init(_ name: String) throws(TokenizerError) {
        guard let family = Self.family(name) else { throw .unsupportedPreTokenizer(name) }
        self = family
    }

    private init(
        _ rule: Rule, ignoresMerges: Bool = false, addsBOS: Bool = false, isOfCharacters: Bool = false
    ) {
        self.rule = rule
        self.ignoresMerges = ignoresMerges
        self.addsBOS = addsBOS
        self.isOfCharacters = isOfCharacters
    }

    /// The rule, ready to be used.
    func preTokenizer() throws(TokenizerError) -> PreTokenizer {
        switch rule {
        case .scanner(let scanner): return scanner
        case .expressions(let sources):
            do {
                return .expressions(
                    try sources.map { (source) throws(ExpressionError) in try RegularExpression(source, .llamaCpp) })
            } catch {
                throw .unsupportedPreTokenizer("an expression with \(error.reason)")
            }
        }
    }

    private static func family(_ name: String) -> NamedPreTokenizer? {
        switch name {
        case "gpt-2", "phi-2", "opt", "olmo", "mpt", "jais", "trillion", "exaone4", "granite-docling", "gigachat",
            "mellum", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "a.x-4.0", "modern-bert", "jina-v1-en",
            "jina-v2-code", "roberta-bpe":
            NamedPreTokenizer(.scanner(.gpt2), addsBOS: name == "opt")
        case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2":
            NamedPreTokenizer(.scanner(.digitsThenGPT2))
        case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
            NamedPreTokenizer(.scanner(.llama3(maximumDigits: 3)), ignoresMerges: true, addsBOS: true)
        case "smaug-bpe", "dbrx", "chatglm-bpe": NamedPreTokenizer(.scanner(.llama3(maximumDigits: 3)))
        case "glm4", "glm5": NamedPreTokenizer(.scanner(.llama3(maximumDigits: 3)), ignoresMerges: true)
        case "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2":
            NamedPreTokenizer(.scanner(.llama3(maximumDigits: 1)))
        case "youtu", "granite-embed-multi-97m", "minicpm5":
            Self.expressions(name).map { NamedPreTokenizer(.expressions($0), ignoresMerges: true) }
        case "tekken":
            Self.expressions(name).map { NamedPreTokenizer(.expressions($0), ignoresMerges: true, addsBOS: true) }
        case "chameleon": Self.expressions(name).map { NamedPreTokenizer(.expressions($0), addsBOS: true) }
        case "gemma4", "granite-embed-multi-311m", "sarvam-moe":
            NamedPreTokenizer(.expressions([#"[^\n]+|\n+"#]), addsBOS: name != "sarvam-moe", isOfCharacters: true)
        default: Self.expressions(name).map { NamedPreTokenizer(.expressions($0)) }
        }
    }
}
