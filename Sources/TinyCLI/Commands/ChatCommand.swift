import TinyRuntime
import TinyTokenizer

extension Command {
    static let chat = Command(
        name: "chat", summary: "talk to a model",
        operands: "[MODEL]",
        details: """
            A conversation, one message a line, on a terminal or with piped input. Ctrl-C stops an answer, a
            second one ends the program; so do /quit and the end of the input. When the context is full, the
            oldest messages are forgotten.

            in the conversation:
            \(ChatLoop.commands)
            """,
        options: Option.running + [
            .context,
            Option("system", value: "TEXT", "what the model is told first"),
            Option("template", value: "NAME", "\(templateNames.joined(separator: ", ")) (default: the model's own)"),
        ] + Option.sampling + [.verbose],
        examples: [
            ("smollm2.gguf", "talk"),
            ("-m smollm2.gguf --system \"You are a pirate.\"", "to somebody else"),
            ("-m smollm2.gguf --greedy < questions.txt", "one question a line"),
        ],
        run: chatCommand)
}

private let templateNames = ["chatml", "llama2", "llama3", "zephyr", "plain"]

private func chatCommand(_ arguments: Arguments) throws(Failure) {
    let (path, _) = try arguments.modelAndRest(0, hint: "; messages are typed, not given as arguments")
    let options = try GenerationOptions(arguments)
    let sessionOptions = try Session.Options(arguments)
    var template: ChatTemplate?
    if let name = arguments.string("template") { template = try chatTemplate(named: name) }

    let model = try Model.open(path, arguments)
    guard let template = template ?? model.tokenizer.chatTemplate else {
        throw Failure.problem(
            "\(escaped(model.config.name)) has no chat template, so it was hardly taught to talk; "
                + "try tinysparse run, or name a --template")
    }
    let session = try Session.open(model, sessionOptions)
    var loop = ChatLoop(
        session: session, template: template, options: options, system: arguments.string("system"),
        isVerbose: arguments.has("verbose"))
    try loop.run()
}

private func chatTemplate(named name: String) throws(Failure) -> ChatTemplate {
    switch name {
    case "chatml": .chatML(defaultSystem: nil)
    case "llama2": .llama2
    case "llama3": .llama3
    case "zephyr": .zephyr(end: "</s>")
    case "plain": .plain
    default:
        throw .usage(
            "unknown template \(escaped(name, limit: 80))" + suggestion(for: name, among: templateNames)
                + "; there are " + templateNames.joined(separator: ", "))
    }
}

/// A conversation.
private struct ChatLoop {
    static let commands = """
          /help          this list
          /reset         forget the conversation
          /system TEXT   tell the model who it is, and forget the conversation; no TEXT: nobody
          /quit          end
        """

    let session: Session
    let template: ChatTemplate
    var options: GenerationOptions
    var system: String?
    let isVerbose: Bool

    private var messages: [ChatMessage] = []
    private var reader = LineReader()

    init(session: Session, template: ChatTemplate, options: GenerationOptions, system: String?, isVerbose: Bool) {
        self.session = session
        self.template = template
        self.options = options
        self.system = system
        self.isVerbose = isVerbose
    }

    mutating func run() throws(Failure) {
        if Console.inputIsTerminal { Console.note("\(escaped(session.model.config.name)): /help helps, /quit ends") }
        while true {
            if Console.inputIsTerminal { Console.note("> ", terminator: "") }
            switch try reader.next() {
            case .end:
                if Console.inputIsTerminal { Console.note("") }
                return
            case .interrupted:
                Console.note("")
                throw Signals.failure
            case .text(let line):
                let words = line.trimmingSpaces()
                if words.isEmpty { continue }
                if words.hasPrefix("/") {
                    if !command(words) { return }
                } else {
                    try answer(line)
                }
            }
        }
    }

    /// Obeys a line that begins with a slash; false ends the conversation.
    private mutating func command(_ line: String) -> Bool {
        let parts = line.split(separator: " ", maxSplits: 1)
        switch parts[0] {
        case "/quit", "/exit", "/bye": return false
        case "/help": Console.note(Self.commands)
        case "/reset":
            messages = []
            Console.note("forgotten")
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
        guard let ids = fittingIDs() else {
            messages.removeLast()
            Console.note("too long: the context holds \(session.contextLimit) tokens (--context)")
            return
        }
        // What the session has read of this conversation stays read. The last token is read in any case,
        // for its logits are those that the answer begins with.
        var common = 0
        while common < min(ids.count - 1, session.tokens.count), ids[common] == session.tokens[common] { common += 1 }
        session.rewind(to: common)

        let writer = AnswerWriter(session: session)
        try writer.write(Array(ids[common...]), options)
        try Console.writeLine()
        messages.append(ChatMessage(role: "assistant", content: writer.text))
        if isVerbose { writer.printStatistics(seed: options.sampling.seed) }
        // Another answer, another sequence of random numbers.
        options.sampling.seed &+= 1

        if Signals.pending > 1 || Signals.isTermination { throw Signals.failure }
        if Signals.pending == 1 { Console.note("[stopped; Ctrl-C again ends]") }
        Signals.reset()
        if writer.reason == .contextFull { Console.note("[the context is full: the answer ends here]") }
    }

    /// The conversation as tokens, its oldest messages dropped until it leaves a quarter of the context for the
    /// answer; nil if even the newest message does not fit.
    private mutating func fittingIDs() -> [Int32]? {
        while true {
            let start = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
            let ids = session.model.tokenizer.encode(chat: start + messages, template: template)
            if ids.count <= session.contextLimit - session.contextLimit / 4 { return ids }
            guard messages.count > 2 else { return ids.count < session.contextLimit ? ids : nil }
            messages.removeFirst(2)
            Console.note("[the oldest messages are forgotten: the context is full]")
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
