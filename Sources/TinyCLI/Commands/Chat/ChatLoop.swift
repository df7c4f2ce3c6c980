// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime
import TinyTokenizer

/// A conversation.
struct ChatLoop {
    let session: Session
    let chat: ChatSetup
    var options: GenerationOptions
    var system: String?
    let cache: PromptCache?
    var display: ThinkingDisplay
    let isVerbose: Bool

    var messages: [ChatMessage] = []
    /// What was written last, for its statistics.
    var lastAnswer: AnswerPrinter?
    /// The files that are this conversation's, which saving may replace.
    var ownFiles: Set<String> = []
    private var reader: MessageReader

    init(
        session: Session, chat: ChatSetup, options: GenerationOptions, system: String?, cache: PromptCache?,
        display: ThinkingDisplay, isVerbose: Bool, keepsHistory: Bool
    ) {
        self.session = session
        self.chat = chat
        self.options = options
        self.system = system
        self.cache = cache
        self.display = display
        self.isVerbose = isVerbose
        reader = MessageReader(keepsHistory: keepsHistory)
    }

    mutating func run() throws(Failure) {
        if Console.inputIsTerminal {
            Console.note("\(escaped(session.model.config.name)): /help lists commands, /quit ends")
        }
        while true {
            switch try reader.next() {
            case .end: return
            case .interrupted: throw Signals.failure
            case .text(let line):
                let words = line.trimmingSpaces()
                if words.isEmpty { continue }
                if words.hasPrefix("//") {
                    try send(String(line.drop { $0 == " " || $0 == "\t" }.dropFirst()))
                } else if words.hasPrefix("/") {
                    if try !execute(words) { return }
                } else {
                    try send(line)
                }
            }
        }
    }

    /// The messages with the system's.
    var conversation: [ChatMessage] { (system.map { [ChatMessage(role: "system", content: $0)] } ?? []) + messages }

    /// Answers a message. One that cannot be answered leaves the conversation as it was.
    private mutating func send(_ message: String) throws(Failure) {
        let before = messages
        messages.append(ChatMessage(role: "user", content: message))
        do throws(Failure) {
            if try answer() { return }
        } catch {
            // With piped input, nobody is there who could say it otherwise.
            guard case .problem(let text) = error, Console.inputIsTerminal else { throw error }
            Console.note("error: \(text)")
        }
        messages = before
    }

    /// Answers the conversation.
    /// - Returns: false if it does not fit, which a note has said.
    mutating func answer() throws(Failure) -> Bool {
        guard let ids = try fittingIDs() else {
            Console.note(
                "too long: the context holds \(session.contextLimit) tokens; use a larger --context or a shorter message"
            )
            return false
        }
        let rest = session.keepBeginning(of: ids)
        let printer = AnswerPrinter(session: session, display)
        try printer.answer(Array(rest), options, session.tokens.isEmpty ? cache : nil)
        try Console.writeLine()
        lastAnswer = printer
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
        return true
    }

    /// The conversation as tokens, with the oldest messages dropped until a quarter of the context is left for the
    /// answer; nil if not even the latest message fits.
    private mutating func fittingIDs() throws(Failure) -> [Int32]? {
        while true {
            let ids = try chat.encode(conversation, session.model.tokenizer)
            if ids.count <= session.contextLimit - session.contextLimit / 4 { return ids }
            guard messages.count > 2 else { return ids.count < session.contextLimit ? ids : nil }
            messages.removeFirst(2)
            Console.note("[the context is full: the oldest messages were dropped]")
        }
    }
}
