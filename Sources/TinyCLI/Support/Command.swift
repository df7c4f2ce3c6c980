import TinyConversion
import TinyRuntime
import TinySupport

/// An option: one row of the table that drives parsing, help and error messages.
struct Option: Sendable {
    /// Without dashes.
    let long: String
    let short: Character?
    /// What the value is called in the help; nil for options that take none.
    let value: String?
    let help: String

    init(_ long: String, _ short: Character? = nil, value: String? = nil, _ help: String) {
        self.long = long
        self.short = short
        self.value = value
        self.help = help
    }

    /// A flag without a short form.
    init(_ long: String, _ help: String) { self.init(long, nil, value: nil, help) }
}

/// A subcommand.
struct Command: Sendable {
    let name: String
    let summary: String
    /// What follows the name, for instance `[MODEL] "PROMPT"`.
    let operands: String
    /// What the command does, in a few lines.
    let details: String
    let options: [Option]
    /// Command lines without `tinysparse NAME`, and what they do.
    let examples: [(arguments: String, what: String)]
    let run: @Sendable (Arguments) throws(CommandError) -> Void

    #if hasFeature(Embedded)  // Boards run what other machines have converted.
    static let all = [run, chat, bench, perplexity, verify]
    #else
    static let all = [
        run, chat, batch, bench, perplexity, verify, convert, inspect, tokenize, profile, trainPredictors, sweep,
    ]
    #endif
    static let help = Option("help", "h", "show this help")
}

/// Options that several commands share, so that they mean the same everywhere.
extension Option {
    static let model = Option("model", "m", value: "MODEL", "a native file, a .gguf file, or a Hugging Face folder")
    static let threads = Option("threads", "t", value: "N", "shares of the work; no more run at once than there are cores (default: one a core this process may use)")
    static let context = Option("context", "c", value: "N", "most tokens it can hold (default: the model's, at most 8192)")
    static let kernels = Option("kernels", value: "NAME", "avx512, avx2, neondot, neon or scalar (default: the fastest)")
    static let noVerify = Option("no-verify", "do not compare the checksums of the model file: a faster start")
    static let json = Option("json", "print JSON for programs")
    static let verbose = Option("verbose", "v", "print statistics to standard error (default: if that is a terminal)")

    static let cache = Option("cache", value: "TYPE", "keys and values in half or int8: half the memory, slightly other results (default: half)")
    static let memoryLimit = Option("memory-limit", value: "BYTES", "choose block size and context to fit: 64M, 1G, ... (default: none)")
    static let sparsity = Option("sparsity", value: "MODE", "\(Sparsity.forms) (default: auto)")
    static let headSparsity = Option("head-sparsity", value: "on|off", "leave out heads, too (default: on)")

    static let headScreen = Option(
        LMHeadScreenOption.name, value: "on|off",
        "find the likeliest tokens with a small product and compute only their rows of the output matrix "
            + "(default: on, if the model has a screen and --sparsity is not off)")

    /// Which model and how it runs.
    static let running = [model, threads, kernels, sparsity, headSparsity, headScreen, cache, memoryLimit, noVerify]

    /// How text is chosen.
    static let sampling = [
        Option("max-tokens", "n", value: "N", "most tokens to write (default: 256)"),
        Option("temperature", value: "X", "0 takes the likeliest token always, more is livelier (default: 0.7)"),
        Option("greedy", "the same as --temperature 0"),
        Option("top-k", value: "N", "choose among the N likeliest tokens, 0: all (default: 40)"),
        Option("top-p", value: "X", "choose among the likeliest tokens that make up X, 1: all (default: 0.95)"),
        Option("min-p", value: "X", "only tokens X times as likely as the likeliest, 0: all (default: 0.05)"),
        Option("repeat-penalty", value: "X", "makes recent tokens less likely, 1: no (default: 1)"),
        Option("seed", value: "N", "the same seed gives the same text on every machine (default: a new one)"),
        Option("stop", value: "TEXT", "end before this text; can be given more than once"),
    ]
}
