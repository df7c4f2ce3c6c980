import TinyFormats
import TinyRuntime
import TinySupport

extension Command {
    static let perplexity = Command(
        name: "perplexity", summary: "measure the perplexity of a text",
        operands: "[MODEL] TEXTFILE",
        details: """
            Perplexity with the protocol of llama-perplexity: the text is cut into chunks, and the second half of
            each is scored. Lower is better. "-" is standard input. Scores use exact logits; for a model with
            a logit screen, its agreement with the exact argmax is reported as well.
            """,
        options: Option.running + [
            Option("context", "c", value: "N", "tokens per chunk (default: 512, or the model's context if that is less)"),
            Option("chunks", value: "N", "evaluate only the first N chunks (default: all)"),
            .json,
        ],
        examples: [
            ("-m smollm2.gguf wiki.test.raw", "a whole text"),
            ("-m smollm2.gguf --chunks 20 --json wiki.test.raw", "the beginning of it, as JSON"),
        ],
        run: perplexityCommand)
}

private func perplexityCommand(_ arguments: Arguments) throws(Failure) {
    let (given, path) = try arguments.modelAndOperand("the text file")
    let chunks = try arguments.integer("chunks", in: 1...Int.max)
    let wanted = try arguments.integer("context", in: 4...(1 << 24))
    var options = try Session.Options(arguments)

    let text = String(decoding: try readAll(path), as: UTF8.self)
    let model = try Model.open(given, arguments)
    let context = wanted ?? min(512, model.config.contextLength)
    options.context = context
    let session = try Session.open(model, options)

    var progress = Console.Progress()
    defer { progress.clear() }
    var done = 0
    let result: Perplexity
    do throws(RuntimeError) {
        result = try session.perplexity(of: text, context: context, chunks: chunks) { chunk, count, soFar in
            done = chunk
            progress.show("chunk \(chunk)/\(count)  perplexity \(fixed(soFar.value, 4))")
            return Signals.pending == 0
        }
    } catch {
        throw Failure(error)
    }
    progress.clear()
    try Signals.check()

    if arguments.has("json") {
        let report: [(key: String, value: JSON)] = [
            ("model", .string(model.config.name)), ("text", .string(path)),
            ("perplexity", .double(result.value)), ("standard_error", .double(result.standardError)),
            ("nats_per_token", .double(result.mean)), ("chunks", .number(done)), ("context", .number(context)),
            ("tokens_scored", .number(result.tokens)), ("kernels", .string(session.kernelName)),
            ("threads", .number(session.threads)),
            ("sparsity", .string(arguments.string("sparsity") ?? "auto")),
            ("lm_head_screen", result.screen?.json ?? .null),
        ]
        return try Console.writeLine(JSON.object(report).text())
    }
    try Console.writeLine(
        "perplexity \(fixed(result.value, 4)) +- \(fixed(result.standardError, 4)) "
            + "(\(done) chunks of \(context) tokens, \(result.tokens) tokens scored)")
    if let screen = result.screen { try Console.writeLine(screen.text) }
}
