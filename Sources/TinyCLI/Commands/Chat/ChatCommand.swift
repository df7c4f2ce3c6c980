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

            On a terminal, messages are edited with the usual keys: the cursor keys, Home, End, Ctrl-A, E, K, U, W, L, by
            words with Ctrl or Alt. Alt-Enter and Ctrl-J begin a new line; a paste of several lines is one message. Up and
            Down recall messages, also of earlier chats (in $XDG_STATE_HOME/tinysparse/history).

            commands:
            \(ChatLoop.commands)
            """,
        options: Option.running + [
            .context, .speculate,
            Option("system", value: "TEXT", "the system message"),
        ] + Option.chat + [.thinking] + Option.promptCache + Option.sampling + [.escape, .noHistory, .verbose],
        examples: [
            ("smollm2.gguf", "a conversation"),
            ("-m smollm2.gguf --system \"You are a pirate.\"", "with a system message"),
            ("-m smollm2.gguf --greedy < questions.txt", "one question per line"),
            ("-m smollm2.gguf --system \"$(cat rules.txt)\" --prompt-cache rules.cache", "long rules, read once"),
        ],
        run: chatCommand)
}

extension Option {
    fileprivate static let noHistory = Option(
        "no-history", "on a terminal, keep no messages for later chats, and recall none of earlier ones")
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
        display: display, isVerbose: arguments.has("verbose"), keepsHistory: !arguments.has("no-history"))
    try loop.run()
}

extension StringProtocol {
    /// Without spaces and tabs at both ends.
    func trimmingSpaces() -> String {
        var text = self[...]
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text.drop { $0 == " " || $0 == "\t" })
    }
}
