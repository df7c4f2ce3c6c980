// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime
import TinySparse
import TinyTokenizer

extension Command {
    static let run = Command(
        name: "run", summary: "complete a prompt",
        operands: "[MODEL] \"PROMPT\"",
        details: """
            Generates text from the prompt and prints it to standard output as it is generated. The prompt "-" is
            read from standard input, every byte of it, a line break at the end included. A prompt that begins with
            "-" goes after "--". With --chat the prompt is a message, formatted by the model's chat template.
            """,
        options: Option.running + [
            .context, .speculate,
            Option(
                "context-shift",
                "when the context is full, drop the older half but for the begin token (BOS), and continue"),
        ] + Option.sampling + [
            .escape,
            Option("raw", "complete the prompt as it is (default)"),
            Option("chat", "the prompt is a user message; the model answers"),
            Option("system", value: "TEXT", "with --chat: the system message"),
        ] + Option.chat + [.thinking] + Option.promptCache + [
            Option("echo", "print the prompt, too"),
            .verbose,
        ],
        examples: [
            ("\"Once upon a time\"", "continue a story"),
            ("-m smollm2.gguf --chat \"Why is the sky blue?\"", "ask a question"),
            ("-n 100 --greedy --stop \".\" \"The moon is\"", "one sentence, the same every time"),
            ("--seed 7 - < prompt.txt", "a prompt from a file"),
            ("--prompt-cache prompt.cache - < prompt.txt", "the same, read only the first time"),
            ("--chat --json-schema person.json \"Invent a person.\"", "JSON that a schema describes"),
        ],
        run: runCommand)
}

private func runCommand(_ arguments: Arguments) throws(Failure) {
    let (path, operand) = try arguments.modelAndOperand("the prompt", hint: "; put the prompt in quotes")
    try arguments.exclude("raw", "chat")
    for option in ["system", "template", "template-arg", "thinking"]
    where arguments.has(option) && !arguments.has("chat") {
        throw Failure.usage("--\(option) needs --chat")
    }
    var options = try GenerationOptions(arguments)
    options.shiftsContext = arguments.has("context-shift")
    var sessionOptions = try Session.Options(arguments)
    let cache = try PromptCache(arguments)
    let display = try ThinkingDisplay(arguments, standard: .raw)

    let prompt = operand == "-" ? try readAll("-") : arguments.text(operand)
    let model = try Model.open(path, arguments)
    sessionOptions.speculation = try Speculation(arguments)
    let session = try Session.open(model, sessionOptions)
    let ids = try promptIDs(prompt, model, arguments)
    if arguments.has("echo") { try Console.writeGenerated(String(decoding: prompt, as: UTF8.self)) }

    let printer = AnswerPrinter(session: session, display)
    try printer.answer(ids, options, cache)
    try Console.writeLine()
    if arguments.has("verbose") || Console.errorIsTerminal { printer.printStatistics(seed: options.sampling.seed) }
    if Signals.pending > 0 { throw Signals.failure }
}

private func promptIDs(_ prompt: [UInt8], _ model: Model, _ arguments: Arguments) throws(Failure) -> [Int32] {
    guard arguments.has("chat") else { return model.tokenizer.encode(prompt) }
    guard let chat = try ChatSetup(arguments, model.tokenizer) else {
        throw Failure.problem("\(escaped(model.config.name)) has no chat template; omit --chat, or choose a --template")
    }
    let system = arguments.systemMessage.map { [ChatMessage(role: "system", content: $0)] } ?? []
    let message = ChatMessage(role: "user", content: String(decoding: prompt, as: UTF8.self))
    return try chat.encode(system + [message], model.tokenizer)
}

extension GenerationOptions {
    /// - Throws: `Failure.usage`.
    init(_ arguments: Arguments) throws(Failure) {
        self.init()
        maxTokens = try arguments.integer("max-tokens", in: 0...Int.max) ?? maxTokens
        stop = arguments.strings("stop").map { String(decoding: arguments.text($0), as: UTF8.self) }
        ignoresEndOfText = arguments.has("ignore-eos")
        guard !stop.contains("") else { throw .usage("--stop: expected a text that is not empty") }
        guard !arguments.has("greedy") || arguments.string("temperature").map({ Float($0) == 0 }) ?? true else {
            throw .usage("--greedy and --temperature cannot be combined")
        }
        sampling.temperature =
            arguments.has("greedy") ? 0 : try arguments.number("temperature", in: 0...100) ?? sampling.temperature
        sampling.topK = try arguments.integer("top-k", in: 0...Int.max) ?? sampling.topK
        sampling.topP = try arguments.number("top-p", in: Float.leastNonzeroMagnitude...1) ?? sampling.topP
        sampling.minP = try arguments.number("min-p", in: 0...1) ?? sampling.minP
        sampling.repeatPenalty =
            try arguments.number("repeat-penalty", in: Float.leastNonzeroMagnitude...100) ?? sampling.repeatPenalty
        sampling.seed = try arguments.integer("seed", in: 0...UInt64.max) ?? UInt64.random(in: 0...0xFFFF_FFFF)
        constraint = try Constraint(arguments)
    }
}

extension Arguments {
    /// The value of --system.
    var systemMessage: String? { string("system").map { String(decoding: text($0), as: UTF8.self) } }
}
