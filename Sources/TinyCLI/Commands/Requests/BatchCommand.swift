// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinyRuntime
import TinySupport
import TinyTokenizer

extension Command {
    static let batch = Command(
        name: "batch", summary: "complete many prompts, JSON Lines in and out",
        operands: "[MODEL]",
        details: """
            Every line of standard input is a JSON object:
              {"id": "a", "prompt": "Once", "max_tokens": 20, "temperature": 0, "seed": 7, "stop": ["."]}
              {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
            Only a prompt or messages are required; further members are top_k, top_p, min_p, repeat_penalty,
            ignore_eos, context_shift, and one of json_schema, regex, grammar and OpenAI's response_format; with
            messages, also tools, documents, add_generation_prompt, and template_args, an object of the chat
            template's variables. Messages have the members that the template reads.
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
                "parallel", "j", value: "N",
                "generate N texts at a time, which reads the weights once for all of them (default: 16)"),
            Option(
                "cache-tokens", value: "N",
                "keep at most N tokens of all texts together, and of ended ones for texts that begin alike; a text waits "
                    + "until it fits (default: the contexts of all, or as many as fit a half of the free memory)"),
            Option("in-order", "answers in the order of the input, and not as they are finished"),
            .resume,
            Option("json", "print an error that ends the program as JSON, too"),
        ] + Option.chat + Option.sampling.map { $0.long == "seed" ? .batchSeed : $0 } + [.escape],
        examples: [
            ("-n 40 --greedy < prompts.jsonl > answers.jsonl", "many prompts at a time"),
            ("-j 1 < prompts.jsonl > answers.jsonl", "one after another"),
            ("--resume answers.jsonl < prompts.jsonl >> answers.jsonl", "resume after an interruption"),
        ],
        run: batchCommand)
}

extension Option {
    /// Batches are repeated and compared, so their default seed is fixed.
    fileprivate static let batchSeed = Option(
        "seed", value: "N", "the same seed gives the same text on every machine (default: 0)")
}

private func batchCommand(_ arguments: Arguments) throws(Failure) {
    do throws(Failure) {
        try runBatch(arguments)
    } catch {
        if case .problem(let message) = error, arguments.has("json") {
            try Console.writeLine(JSON.object([("error", .string(message))]).text(depth: 0))
        }
        throw error
    }
}

private func runBatch(_ arguments: Arguments) throws(Failure) {
    let path = try arguments.model(hint: "; prompts are read from standard input")
    let parallel = try arguments.integer("parallel", in: 1...256)
    var defaults = try GenerationOptions(arguments)
    if !arguments.has("seed") { defaults.sampling.seed = 0 }
    let answered = try arguments.string("resume").map(RequestLine.answeredIDs) ?? []

    let options = try Session.Options(arguments)
    let model = try Model.open(path, arguments)
    try options.requirePredictors(of: model)
    let places = parallel ?? 16
    let cachedTokens = try arguments.integer("cache-tokens", in: 1...1 << 40)
    // A model without a template answers prompts, and one whose template cannot be run: messages get the error.
    let chat = Result { () throws(Failure) in try ChatSetup(arguments, model.tokenizer) }
    if arguments.has("template") || arguments.has("template-arg") { _ = try chat.get() }
    let batch: Batch
    do throws(RuntimeError) {
        let fitting = try cachedTokens == nil ? tokensThatFit(model, options, places) : 0
        batch = try Batch(model, places: places, cachedTokens: cachedTokens ?? fitting, options)
    } catch {
        throw Failure(error)
    }
    let runner = BatchRunner(
        batch, defaults: defaults, answered: answered, chat: chat,
        inOrder: arguments.has("in-order") || places == 1)
    try runner.run()
    try Signals.check()
}

/// As many contexts as fit a half of the free memory; 0 for those of all places, or if there is a memory limit, which is
/// kept otherwise.
private func tokensThatFit(_ model: Model, _ options: Session.Options, _ places: Int) throws(RuntimeError) -> Int {
    guard options.memoryLimit == nil else { return 0 }
    let limit = Session.Options.modelBytes(model) + freeMemory() / 2
    let context = options.wantedContext(model)
    for contexts in sequence(first: places, next: { $0 > 1 ? $0 / 2 : nil }) {
        let needed = try options.memoryNeeded(
            model, context: context, blockSize: options.blockSize, places: places, cachedTokens: contexts * context)
        if needed <= limit { return contexts * context }
    }
    return context
}

/// One line of the input.
struct BatchRequest {
    let line: RequestLine

    /// The prompt and how to go on from it.
    /// - Throws: `Failure.problem` for an invalid request, or what the chat template throws.
    func prompt(
        _ tokenizer: Tokenizer, _ defaults: GenerationOptions, _ chat: Result<ChatSetup?, Failure>
    ) throws(Failure) -> (ids: [Int32], options: GenerationOptions) {
        let conversation: Conversation?, prompt: String?, options: GenerationOptions
        do throws(RequestError) {
            let request = try line.request()
            conversation = try request.conversation()
            let keys = conversation == nil ? ["prompt"] : Request.chatKeys
            options = try GenerationOptions(request: request, also: ["id"] + keys, defaults: defaults)
            prompt = try conversation == nil ? request.string("prompt") : nil
        } catch {
            throw Failure(error)
        }
        if let conversation { return (try chat.template().encode(conversation, tokenizer), options) }
        guard let prompt else { throw .problem("the prompt is missing") }
        return (tokenizer.encode(prompt), options)
    }

    /// - Parameters:
    ///   - promptTokens: of the prompt.
    ///   - last: the last output of its sequence.
    func answer(_ text: String, promptTokens: Int, _ last: Batch.Output) -> String {
        if let error = last.error { return line.failure(error.description) }
        return line.answer([
            ("text", .string(text)), ("tokens", .number(last.tokens)), ("prompt_tokens", .number(promptTokens)),
            ("reason", .string(last.reason?.word ?? "cancelled")),
        ])
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
