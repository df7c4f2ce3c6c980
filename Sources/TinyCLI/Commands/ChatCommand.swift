// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime
import TinyTokenizer

extension Command {
    static let chat = Command(
        name: "chat", summary: "chat with a model",
        operands: "[MODEL]",
        details: """
            A conversation, one message per line, on a terminal or with piped input. A "\\" at the end of a line
            continues the message on the next line; "//" at the beginning sends a message that begins with "/".
            Ctrl-C stops an answer, a second one ends the program; so do /quit and the end of the input. When the
            context is full, the oldest messages are dropped. --prompt-cache keeps a conversation up to its first answer.

            commands:
            \(ChatLoop.commands)
            """,
        options: Option.running + [
            .context, .speculate,
            Option("system", value: "TEXT", "the system message"),
        ] + Option.chat + [.thinking] + Option.promptCache + Option.sampling + [.escape, .verbose],
        examples: [
            ("smollm2.gguf", "a conversation"),
            ("-m smollm2.gguf --system \"You are a pirate.\"", "with a system message"),
            ("-m smollm2.gguf --greedy < questions.txt", "one question per line"),
            ("-m smollm2.gguf --system \"$(cat rules.txt)\" --prompt-cache rules.cache", "long rules, read once"),
        ],
        run: chatCommand)
}

private func chatCommand(_ arguments: Arguments) throws(Failure) {
    let path = try arguments.model(hint: "; messages are read from standard input")
    let options = try GenerationOptions(arguments)
    var sessionOptions = try Session.Options(arguments)
    let cache = try PromptCache(arguments)
    let display = try ThinkingDisplay(arguments, standard: .show)

    let model = try Model.open(path, arguments)
    guard let chat = try ChatSetup(arguments, model.tokenizer) else {
        throw Failure.problem(
            "\(escaped(model.config.name)) has no chat template; probably not an instruction-tuned model; "
                + "use tinysparse run, or choose a --template")
    }
    sessionOptions.speculation = try Speculation(arguments)
    let session = try Session.open(model, sessionOptions)
    var loop = ChatLoop(
        session: session, chat: chat, options: options, system: arguments.systemMessage, cache: cache,
        display: display, isVerbose: arguments.has("verbose"))
    try loop.run()
}

/// A conversation.
private struct ChatLoop {
    static let commands = """
          /help          show this list
          /reset         start a new conversation
          /system TEXT   start a new conversation with this system message, or without one
          /quit          end the program
        """

    let session: Session
    let chat: ChatSetup
    var options: GenerationOptions
    var system: String?
    let cache: PromptCache?
    let display: ThinkingDisplay
    let isVerbose: Bool

    private var messages: [ChatMessage] = []
    private var reader = LineReader()

    init(
        session: Session, chat: ChatSetup, options: GenerationOptions, system: String?, cache: PromptCache?,
        display: ThinkingDisplay, isVerbose: Bool
    ) {
        self.session = session
        self.chat = chat
        self.options = options
        self.system = system
        self.cache = cache
        self.display = display
        self.isVerbose = isVerbose
    }

    mutating func run() throws(Failure) {
        if Console.inputIsTerminal {
            Console.note("\(escaped(session.model.config.name)): /help lists commands, /quit ends")
        }
        while true {
            if Console.inputIsTerminal { Console.note("> ", terminator: "") }
            switch try message() {
            case .end:
                if Console.inputIsTerminal { Console.note("") }
                return
            case .interrupted:
                Console.note("")
                throw Signals.failure
            case .text(let line):
                let words = line.trimmingSpaces()
                if words.isEmpty { continue }
                if words.hasPrefix("//") {
                    try answer(String(line.drop { $0 == " " || $0 == "\t" }.dropFirst()))
                } else if words.hasPrefix("/") {
                    if !command(words) { return }
                } else {
                    try answer(line)
                }
            }
        }
    }

    /// A line of the input, and the next one as long as a backslash ends it.
    private mutating func message() throws(Failure) -> LineReader.Line {
        var lines: [String] = []
        while true {
            switch try reader.next() {
            case .text(let line) where line.hasSuffix("\\"): lines.append(String(line.dropLast()))
            case .text(let line): return .text((lines + [line]).joined(separator: "\n"))
            case .end where !lines.isEmpty: return .text(lines.joined(separator: "\n"))
            case let other: return other
            }
        }
    }

    /// Executes a line that begins with a slash; false ends the conversation.
    private mutating func command(_ line: String) -> Bool {
        let parts = line.split(separator: " ", maxSplits: 1)
        switch parts[0] {
        case "/quit", "/exit", "/bye": return false
        case "/help": Console.note(Self.commands)
        case "/reset":
            messages = []
            Console.note("new conversation")
        case "/system":
            system = parts.count > 1 ? parts[1].trimmingSpaces() : nil
            messages = []
            Console.note(system == nil ? "no system message" : "system message set")
        default:
            let names = ["/help", "/reset", "/system", "/quit"]
            Console.note(
                "unknown command \(escaped(String(parts[0]), limit: 80))"
                    + suggestion(for: String(parts[0]), among: names) + "; /help lists them")
        }
        return true
    }

    private mutating func answer(_ line: String) throws(Failure) {
        messages.append(ChatMessage(role: "user", content: line))
        guard let ids = try fittingIDs() else {
            messages.removeLast()
            Console.note(
                "too long: the context holds \(session.contextLimit) tokens; use a larger --context or a shorter message"
            )
            return
        }
        let rest = session.keepBeginning(of: ids)
        let printer = AnswerPrinter(session: session, display)
        try printer.answer(Array(rest), options, session.tokens.isEmpty ? cache : nil)
        try Console.writeLine()
        messages.append(
            ChatMessage(
                role: "assistant", content: printer.text, reasoning: printer.thinking.isEmpty ? nil : printer.thinking))
        if isVerbose { printer.printStatistics(seed: options.sampling.seed) }
        // Each answer has its own random numbers.
        options.sampling.seed &+= 1

        if Signals.pending > 1 || Signals.isTermination { throw Signals.failure }
        if Signals.pending == 1 { Console.note("[stopped; Ctrl-C again ends the program]") }
        Signals.reset()
        switch printer.reason {
        case .contextFull: Console.note("[the context is full: the answer is incomplete]")
        case .maxTokens:
            Console.note("[the answer was cut after \(options.maxTokens) tokens; --max-tokens sets how many]")
        default: break
        }
    }

    /// The conversation as tokens, with the oldest messages dropped until a quarter of the context is left for the
    /// answer; nil if not even the latest message fits.
    private mutating func fittingIDs() throws(Failure) -> [Int32]? {
        while true {
            let start = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
            let ids = try chat.encode(start + messages, session.model.tokenizer)
            if ids.count <= session.contextLimit - session.contextLimit / 4 { return ids }
            guard messages.count > 2 else { return ids.count < session.contextLimit ? ids : nil }
            messages.removeFirst(2)
            Console.note("[the context is full: the oldest messages were dropped]")
        }
    }
}

extension StringProtocol {
    /// Without spaces and tabs at both ends.
    func trimmingSpaces() -> String {
        var text = self[...]
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text.drop { $0 == " " || $0 == "\t" })
    }
}
