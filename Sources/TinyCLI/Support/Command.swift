// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyRuntime
import TinySupport

/// An option: one row of the table that drives parsing, help and error messages.
struct Option: Sendable {
    /// Without dashes.
    let long: String
    /// One letter means the same long option in all commands.
    let short: Character?
    /// The placeholder of the value in the help; nil for flags.
    let value: String?
    let help: String
    /// Spellings of earlier versions, with their dashes. They are errors that name the option.
    let formerly: [String]

    init(_ long: String, _ short: Character? = nil, value: String? = nil, formerly: [String] = [], _ help: String) {
        self.long = long
        self.short = short
        self.value = value
        self.formerly = formerly
        self.help = help
    }

    /// A flag without a letter.
    init(_ long: String, _ help: String) { self.init(long, nil, value: nil, help) }
}

/// A subcommand.
struct Command: Sendable {
    let name: String
    let summary: String
    /// What follows the options, for instance `[MODEL] "PROMPT"`.
    let operands: String
    /// What the command does, in a few lines.
    let details: String
    let options: [Option]
    /// Command lines without `tinysparse NAME`, and a comment on each.
    let examples: [(arguments: String, what: String)]
    let run: @Sendable (Arguments) throws(CommandError) -> Void

    #if hasFeature(Embedded)  // Boards run models that other machines converted.
    static let all = [run, chat, bench, perplexity, verify]
    #else
    static let all = [
        run, chat, batch, bench, perplexity, score, logits, verify, convert, inspect, tokenize, profile,
        trainPredictors, sweep,
    ]
    #endif
    static let help = Option("help", "h", "show this help")
}

/// Options that several commands share, so that they mean the same everywhere.
extension Option {
    static let model = Option("model", "m", value: "MODEL", "a native file, a .gguf file or a Hugging Face folder")
    static let threads = Option(
        "threads", "t", value: "N", "worker threads (default: the cores available to this process)")
    static let context = Option(
        "context", "c", value: "N", "context length in tokens, at most the model's (default: that, at most 8192)")
    static let kernels = Option(
        "kernels", "k", value: "NAME", Kernels.names.joined(separator: ", ") + " (default: the fastest)")
    static let output = Option("output", "o", value: "OUT", "the model file to write")
    static let force = Option("force", formerly: ["-f"], "overwrite OUT if it exists")
    static let noVerify = Option("no-verify", "skip the checksums of the model file: a faster start")
    static let json = Option("json", "print JSON")
    static let verbose = Option("verbose", "v", "print statistics to standard error (default: if it is a terminal)")

    static let cache = Option(
        "cache", value: "TYPE",
        "KV cache in half or int8; int8 halves its memory and changes results slightly (default: half)")
    static let memoryLimit = Option(
        "memory-limit", value: "BYTES", "choose prefill block size and context to fit: 64M, 1G, ... (default: none)")
    static let sparsity = Option("sparsity", value: "MODE", "\(Sparsity.forms) (default: auto)")
    static let headSparsity = Option("head-sparsity", value: "on|off", "skip attention heads, too (default: on)")
    static let lmHeadScreen = Option(
        LMHeadScreenOption.name, value: "on|off",
        "low-rank logit screening (default: on, if the model has a screen and --sparsity is not off)")

    static let speculate = Option(
        "speculate", value: "MODE",
        "drafts of coming tokens, which never change the text: off, lookup: out of the text so far, self: by the same "
            + "model with --sparsity, FILE: a smaller model of the same vocabulary (default: lookup)")

    /// The model and how it runs.
    static let running = [model, threads, kernels, sparsity, headSparsity, lmHeadScreen, cache, memoryLimit, noVerify]

    /// How tokens are chosen.
    static let sampling =
        [
            Option("max-tokens", "n", value: "N", "tokens to generate at most (default: 256)"),
            Option("temperature", value: "X", "sampling temperature, 0 = greedy (default: 0.7)"),
            Option("greedy", "the same as --temperature 0"),
            Option("top-k", value: "N", "sample from the N most likely tokens, 0 = all (default: 40)"),
            Option(
                "top-p", value: "X",
                "sample from the most likely tokens with total probability X, 1 = all (default: 0.95)"),
            Option("min-p", value: "X", "drop tokens below X times the highest probability, 0 = none (default: 0.05)"),
            Option("repeat-penalty", value: "X", "repetition penalty, 1 = off (default: 1)"),
            Option("seed", value: "N", "the same seed gives the same text on every machine (default: random)"),
            Option("ignore-eos", "go on after end-of-text tokens"),
            Option("stop", value: "TEXT", "stop before this text, taken as it is but for --escape; can be repeated"),
        ] + constraints

    /// For texts of the command line.
    static let escape = Option(
        "escape", "e", "process the escapes \\n \\t \\r \\\\ \\' \\\" \\xHH in --stop, the prompt and --system")
}
