// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport
import TinyTokenizer

extension Command {
    static let score = Command(
        name: "score", summary: "log-probabilities of given continuations, JSON Lines in and out",
        operands: "[MODEL]",
        details: """
            Every line of standard input, or of --file, is a JSON object with a prompt or messages and the texts that could
            follow:
              {"id": "a", "prompt": "The sky is", "continuations": [" blue.", " a fish."]}
              {"messages": [{"role": "user", "content": "1 + 1?"}], "continuations": ["2", "3"]}
            With messages, also tools, documents, add_generation_prompt and template_args, as in batch. Every line is answered
            by a line in the same order:
              {"id": "a", "prompt_tokens": 3, "continuations": [{"logprob": -2.5, "tokens": 2, "bytes": 6, "characters": 6,
               "greedy": false}, ...], "best": 0, "best_per_byte": 0}
              {"id": "b", "line": 2, "error": "continuations: a list of texts is needed"}
            logprob is the natural logarithm of the continuation's probability; greedy says whether greedy decoding writes it;
            best and best_per_byte are the indices of the largest logprob and the largest logprob per byte, of equals the
            first. Prompt and continuation are encoded as one text and split where the prompt's own tokens end, spaces at its
            end going to the continuation, as lm-evaluation-harness does; "merged": true marks a continuation whose first letters
            became one token with the prompt's last ones, so that the score lacks them. An invalid line yields an error, the
            others are answered, and the exit code is 1.
            """,
        options: Option.running.filter { $0.long != LMHeadScreenOption.name } + [
            .context,
            Option("file", "f", value: "FILE", "read the lines from a file (default: standard input)"),
            Option(
                "sparse-prompt",
                "with sparsity, read prompts as decoding does, too, as perplexity does (default: with all neurons, as run "
                    + "does)"),
            .resume,
        ] + Option.chat,
        examples: [
            ("-f items.jsonl > scores.jsonl", "which answers a model prefers"),
            ("--sparsity off < items.jsonl", "with all neurons and heads"),
            ("--resume scores.jsonl < items.jsonl >> scores.jsonl", "resume after an interruption"),
        ],
        run: scoreCommand)
}

private func scoreCommand(_ arguments: Arguments) throws(Failure) {
    let path = try arguments.model(hint: "; lines are read from standard input or --file")
    var options = try Session.Options(arguments)
    options.screensHead = false
    let reader = if let file = arguments.string("file") { try LineReader(path: file) } else { LineReader() }
    let answered = try arguments.string("resume").map(RequestLine.answeredIDs) ?? []

    let model = try Model.open(path, arguments)
    // A model without a template scores prompts, and one whose template cannot be run: messages get the error.
    let chat = Result { () throws(Failure) in try ChatSetup(arguments, model.tokenizer) }
    if arguments.has("template") || arguments.has("template-arg") { _ = try chat.get() }
    let scorer = Scorer(
        session: try Session.open(model, options), chat: chat, densePrompt: !arguments.has("sparse-prompt"))
    var progress = Console.Progress()
    defer { progress.clear() }
    var (lines, failures) = (0, 0)
    try RequestLine.forEach(of: reader, except: answered) { line throws(Failure) in
        let answer: String
        do throws(Failure) {
            answer = try scorer.answer(line)
        } catch {
            guard case .problem(let message) = error else { throw error }
            failures += 1
            answer = line.failure(message)
        }
        progress.clear()
        try Console.writeLine(answer)
        lines += 1
        progress.show("\(lines) lines")
    }
    progress.clear()
    guard failures == 0 else {
        throw Failure.problem(
            "\(failures) of \(lines) lines could not be scored; the output has an error for each")
    }
}

/// Scores lines one after another, so that prompts that begin alike are read once.
private struct Scorer {
    let session: Session
    /// The chat template, or why there is none.
    let chat: Result<ChatSetup?, Failure>
    let densePrompt: Bool

    /// - Throws: `Failure.problem` for what is wrong with the line; `Failure.interrupted`.
    func answer(_ line: RequestLine) throws(Failure) -> String {
        let request: Request, texts: [String]
        do throws(RequestError) {
            request = try line.request()
            texts = try continuations(request)
        } catch {
            throw Failure(error)
        }
        let parts = try split(request, texts)
        if let index = parts.firstIndex(where: { $0.continuation.isEmpty }) {
            throw .problem("continuations[\(index)]: has no token of its own after the prompt")
        }
        let prompt = parts[0].prompt, scores: [ContinuationScore]?
        do throws(RuntimeError) {
            scores = try session.scores(
                of: parts.map { $0.continuation }, after: prompt, densePrompt: densePrompt,
                while: { Signals.pending == 0 })
        } catch {
            throw Failure(error)
        }
        guard let scores else { throw Signals.failure }
        var results: [JSON] = []
        for (index, (text, score)) in zip(texts, scores).enumerated() {
            var members: [(key: String, value: JSON)] = [
                ("logprob", .double(score.logProbability)), ("tokens", .number(score.tokens)),
                ("bytes", .number(text.utf8.count)), ("characters", .number(text.unicodeScalars.count)),
                ("greedy", .bool(score.isGreedy)),
            ]
            if parts[index].isMerged { members.append(("merged", .bool(true))) }
            results.append(.object(members))
        }
        let sums = scores.map { $0.logProbability }
        let perByte = zip(sums, texts).map { $0 / Double($1.utf8.count) }
        return line.answer([
            ("prompt_tokens", .number(prompt.count)), ("continuations", .array(results)),
            ("best", .number(sums.firstIndex(of: sums.max()!)!)),
            ("best_per_byte", .number(perByte.firstIndex(of: perByte.max()!)!)),
        ])
    }

    /// The continuations: one text at least, and none of them empty.
    private func continuations(_ request: Request) throws(RequestError) -> [String] {
        guard let list = request["continuations"] else { throw RequestError("the continuations are missing") }
        guard let values = list.array, !values.isEmpty else {
            throw RequestError("continuations: a list of texts is needed")
        }
        var texts: [String] = []
        for (index, value) in values.enumerated() {
            guard let text = value.string, !text.isEmpty else {
                throw RequestError("continuations[\(index)]: a text of at least one character is needed")
            }
            texts.append(text)
        }
        return texts
    }

    /// The tokens of the prompt with each continuation.
    private func split(_ request: Request, _ texts: [String]) throws(Failure) -> [ContinuationTokens] {
        let tokenizer = session.model.tokenizer
        let conversation: Conversation?, prompt: String?
        do throws(RequestError) {
            conversation = try request.conversation()
            let keys = conversation == nil ? ["prompt"] : Request.chatKeys
            try request.limitKeys(to: ["id", "continuations"] + keys)
            prompt = try conversation == nil ? request.string("prompt") : nil
        } catch {
            throw Failure(error)
        }
        if let conversation {
            let chat = try chat.template()
            let alone = try chat.encode(conversation, tokenizer)
            return try texts.map { text throws(Failure) in
                ContinuationTokens(prompt: alone, both: try chat.encode(conversation, tokenizer, continuation: text))
            }
        }
        guard let prompt else { throw .problem("the prompt is missing") }
        return texts.map { tokenizer.continuation($0, of: prompt) }
    }
}
