// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport

extension Command {
    static let batch = Command(
        name: "batch", summary: "complete many prompts, JSON Lines in and out",
        operands: "[MODEL]",
        details: """
            Every line of standard input is a JSON object:
              {"id": "a", "prompt": "Once", "max_tokens": 20, "temperature": 0, "seed": 7, "stop": ["."]}
              {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
            Only a prompt or messages are required; further members are top_k, top_p, min_p, repeat_penalty and
            context_shift; with messages, also tools, documents, add_generation_prompt, and template_args, an object of
            the chat template's variables. Messages have the members that the template reads.
            Defaults are the options below; the default id is the line number. An id is a string or a number and comes
            back as it was written. Every line is answered by a line, written as soon as it is finished:
              {"id": "a", "text": " upon a time.", "tokens": 5, "prompt_tokens": 1, "reason": "stop"}
              {"id": "b", "line": 2, "error": "the prompt is missing"}
            The reason is end, max_tokens, stop or context. An invalid line yields one error; the exit code is
            still 0.
            """,
        options: Option.running + [
            .context,
            Option(
                "jobs", "j", value: "N",
                "N concurrent sessions; answers come as they are finished (default: 1, in order)"),
            Option(
                "resume", value: "FILE", "skip the ids that FILE, output of an earlier run, answers without an error"),
            Option("json", "print an error that ends the program as JSON, too"),
        ] + Option.chat + Option.sampling.map { $0.long == "seed" ? .batchSeed : $0 } + [.escape],
        examples: [
            ("-n 40 --greedy < prompts.jsonl > answers.jsonl", "one prompt after another"),
            ("-j 4 --resume answers.jsonl < prompts.jsonl >> answers.jsonl", "resume after an interruption"),
        ],
        run: batchCommand)
}

extension Option {
    /// Batches are repeated and compared, so their default seed is fixed.
    fileprivate static let batchSeed = Option(
        "seed", value: "N", "the same seed gives the same text on every machine (default: 0)")
}

private func batchCommand(_ arguments: Arguments) throws {
    do {
        try runBatch(arguments)
    } catch Failure.problem(let message) where arguments.has("json") {
        try Console.writeLine(JSON.object([("error", .string(message))]).text(depth: 0))
        throw Failure.problem(message)
    } catch let error where arguments.has("json") && !(error is Failure) {
        try Console.writeLine(JSON.object([("error", .string("\(error)"))]).text(depth: 0))
        throw error
    }
}

private func runBatch(_ arguments: Arguments) throws {
    let path = try arguments.model(hint: "; prompts are read from standard input")
    let jobs = try arguments.integer("jobs", in: 1...256) ?? 1
    var defaults = try GenerationOptions(arguments)
    if !arguments.has("seed") { defaults.sampling.seed = 0 }
    let answered = try arguments.string("resume").map(answeredIDs) ?? []

    var options = try Session.Options(arguments)
    if jobs > 1, !arguments.has("threads") { options.threads = 1 }

    let model = try Model.open(path, arguments)
    // The sessions share the model and the program's own memory, and divide the rest.
    if jobs > 1, let limit = options.memoryLimit {
        let shared = Session.Options.modelBytes(model)
        options.memoryLimit = shared + max(limit - shared, 0) / jobs
    }
    // A model without a template answers prompts, and one whose template cannot be run: messages get the error.
    let chat = Result { try ChatSetup(arguments, model.tokenizer) }
    if arguments.has("template") || arguments.has("template-arg") { _ = try chat.get() }
    let batch = BatchRunner(defaults: defaults, answered: answered, chat: chat) { [options] in
        try Session.open(model, options)
    }
    try jobs == 1 ? batch.runInOrder() : batch.run(jobs)
    try Signals.check()
}

/// The ids that an earlier output answers. If this output is appended to it, an incomplete last line is removed.
private func answeredIDs(_ path: String) throws -> Set<String> {
    guard fileExists(path) else { return [] }
    let bytes = try readAll(path)
    let complete = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    if complete < bytes.count { Console.cutOutput(ifItIs: path, to: complete) }
    var ids: Set<String> = []
    for line in bytes[..<complete].split(separator: UInt8(ascii: "\n")) {
        guard let answer = try? Request(Array(line)), answer["error"] == nil, let id = try? answer.identifier("id")
        else { continue }
        ids.insert(id)
    }
    return ids
}

/// One line of the input.
struct BatchRequest {
    let line: Int
    /// The id in the answer, as JSON text.
    let id: String
    private let content: Result<Request, RequestError>

    /// nil for an empty line.
    init?(_ text: String, line: Int) {
        guard text.contains(where: { !$0.isWhitespace }) else { return nil }
        self.line = line
        do throws(RequestError) {
            let request = try Request(Array(text.utf8))
            id = try request.identifier("id") ?? "\(line)"
            content = .success(request)
        } catch {
            id = "\(line)"
            content = .failure(error)
        }
    }

    /// - Throws: `RequestError` for an invalid request, `RuntimeError`, `Failure`.
    func answer(
        _ session: Session, _ defaults: GenerationOptions, _ chat: Result<ChatSetup?, any Error>
    ) throws -> String {
        let request = try content.get()
        let ids: [Int32]
        let options: GenerationOptions
        if let conversation = try request.conversation() {
            options = try GenerationOptions(request: request, also: ["id"] + Request.chatKeys, defaults: defaults)
            guard let chat = try chat.get() else {
                throw RequestError("messages: the model has no chat template; choose a --template")
            }
            ids = try chat.encode(conversation, session.model.tokenizer)
        } else {
            options = try GenerationOptions(request: request, also: ["id", "prompt"], defaults: defaults)
            guard let prompt = try request.string("prompt") else { throw RequestError("the prompt is missing") }
            ids = session.model.tokenizer.encode(prompt)
        }
        session.rewind(to: 0)
        var generation = try session.begin(ids, options)
        try Signals.check()
        var text = ""
        while let piece = try generation.next() {
            text += piece
            try Signals.check()
        }
        return answer([
            ("text", .string(text)), ("tokens", .number(generation.generated.count)),
            ("prompt_tokens", .number(ids.count)), ("reason", .string(generation.reason?.word ?? "cancelled")),
        ])
    }

    func failure(_ message: String) -> String { answer([("line", .number(line)), ("error", .string(message))]) }

    private func answer(_ members: [(key: String, value: JSON)]) -> String {
        "{\"id\": " + JSON.escapingControls(id) + ", " + JSON.object(members).text(depth: 0).dropFirst()
    }
}

extension StopReason {
    fileprivate var word: String {
        switch self {
        case .endOfText: "end"
        case .maxTokens: "max_tokens"
        case .stopString: "stop"
        case .contextFull: "context"
        case .cancelled: "cancelled"
        }
    }
}
