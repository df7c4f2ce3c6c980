import TinyPlatform
import TinyRuntime
import TinySupport

extension Command {
    static let bench = Command(
        name: "bench", summary: "measure the speed of a model",
        operands: "[MODEL]",
        details: """
            Measures reading (many tokens at once) and writing (one after another), as llama-bench does: tokens
            per second, the median and the range of some repetitions after one that does not count. The tokens
            are pseudo-random and always the same, unless --text gives some: what a model skips depends on the
            text. Writing asks for the likeliest token only.
            """,
        options: Option.running + [
            Option("prompt", "p", value: "N", "tokens to read, 0: skip (default: 128)"),
            Option("generate", "n", value: "N", "tokens to write, 0: skip (default: 64)"),
            Option("text", value: "FILE", "read this instead: what predictors and screens do depends on the text"),
            Option("depth", "d", value: "N", "tokens in the context before (default: 0)"),
            Option("stages", "also tell where the time of writing goes"),
            Option("repetitions", "r", value: "N", "how often (default: 5)"),
            .json,
        ],
        examples: [
            ("-t 2", "the default model on two threads"),
            ("-m smollm2.gguf -p 512 -n 128 -r 3 --json", "more tokens, for a program"),
            ("--kernels scalar", "without SIMD"),
        ],
        run: benchCommand)
}

private func benchCommand(_ arguments: Arguments) throws(Failure) {
    let (path, _) = try arguments.modelAndRest(0, hint: "")
    let promptCount = try arguments.integer("prompt", in: 0...(1 << 20)) ?? 128
    let writtenCount = try arguments.integer("generate", in: 0...(1 << 20)) ?? 64
    let repetitions = try arguments.integer("repetitions", in: 1...10_000) ?? 5
    guard promptCount + writtenCount > 0 else { throw Failure.usage("-p 0 -n 0 leaves nothing to measure") }
    let depth = try arguments.integer("depth", in: 0...(1 << 24)) ?? 0
    let options = try Session.Options(arguments, context: depth + max(promptCount, writtenCount))

    let model = try Model.open(path, arguments)
    let session = try Session.open(model, options)
    let ids = try tokens(max(promptCount, writtenCount, depth), of: arguments.string("text"), model)
    var progress = Console.Progress()
    defer { progress.clear() }
    try session.readInterruptibly(Array(ids[..<depth]))

    /// Speeds of one kind of work, the first run left out.
    func measure(_ name: String, _ count: Int, _ work: () throws(Failure) -> Void) throws(Failure) -> Speeds? {
        guard count > 0 else { return nil }
        var speeds: [Double] = []
        for repetition in 0...repetitions {
            progress.show("\(name) \(repetition)/\(repetitions)")
            session.rewind(to: depth)
            let start = ContinuousClock.now
            try work()
            if repetition > 0 { speeds.append(Double(count) / seconds(since: start)) }
        }
        return Speeds(speeds)
    }
    let prefill = try measure("reading", promptCount) { () throws(Failure) in
        try session.readInterruptibly(Array(ids[..<promptCount]))
    }
    if arguments.has("stages") { session.measureStages() }
    let before = session.activity
    let screenedBefore = session.screenActivity
    let decode = try measure("writing", writtenCount) { () throws(Failure) in
        for id in ids[..<writtenCount] { try session.readWritten(id) }
    }
    let screened = session.screenActivity.map { $0 - screenedBefore! }
    progress.clear()

    let stages = session.stageSeconds.map { sums in
        zip(Stage.allCases, sums).map { (stage: $0, microseconds: $1 * 1e6 / Double(writtenCount * (repetitions + 1))) }
    }
    let activity = session.activity - before
    let layerBytes = options.sparsity.isOff ? model.bytesPerToken : model.bytesRead(activity, heads: true)
    let saved = screened.map { $0.tokens == 0 ? 0 : model.bytesSavedByScreen(denseShare: $0.denseShare, rowsPerToken: $0.rowsPerToken) }
    let bytes = layerBytes - (saved ?? 0)
    if arguments.has("json") {
        var report: [(key: String, value: JSON)] = [
            ("model", .string(model.config.name)), ("file", .string(model.file.path)),
            ("version", .string(Help.version)),
            ("kernels", .string(session.kernelName)), ("threads", .number(session.threads)),
            ("sparsity", .string(arguments.string("sparsity") ?? "auto")),
            ("prompt_tokens", .number(promptCount)), ("generated_tokens", .number(writtenCount)),
            ("depth", .number(depth)),
            ("repetitions", .number(repetitions)),
            ("prefill_tokens_per_second", prefill.json { $0.median }),
            ("prefill_tokens_per_second_min", prefill.json { $0.slowest }),
            ("prefill_tokens_per_second_max", prefill.json { $0.fastest }),
            ("decode_tokens_per_second", decode.json { $0.median }),
            ("decode_tokens_per_second_min", decode.json { $0.slowest }),
            ("decode_tokens_per_second_max", decode.json { $0.fastest }),
            ("parameters", .number(model.config.parameterCount)),
            ("bytes_read_per_token", .number(bytes)), ("neurons_computed", .double(activity.neuronShare)),
            ("heads_computed", .double(activity.headShare)), ("lm_head_screen", screened?.json ?? .null),
            ("peak_rss_bytes", .number(peakMemory())),
        ]
        if let stages {
            report.append(("decode_microseconds_by_stage", .object(stages.map { ("\($0.stage)", .double($0.microseconds)) })))
        }
        return try Console.writeLine(JSON.object(report).text())
    }
    var lines = ["\(escaped(model.config.name)), \(session.kernelName), \(session.threads) threads"]
    if let prefill { lines.append("read  \("\(promptCount)".leftPadded(to: 5)) tokens: \(prefill)") }
    if let decode {
        let rate = Double(bytes) * decode.median / 1e9
        let count = "\(writtenCount)".leftPadded(to: 5)
        lines.append("write \(count) tokens: \(decode), \(fixed(rate, 1)) GB/s of weights")
    }
    if activity.neuronShare < 1 || activity.headShare < 1 {
        lines.append(
            "skipped: \(fixed(100 * (1 - activity.neuronShare), 1)) % of the neurons, "
                + "\(fixed(100 * (1 - activity.headShare), 1)) % of the heads")
    }
    if let stages {
        lines.append("a token: " + stages.map { "\($0.stage) \(fixed($0.microseconds)) us" }.joined(separator: ", "))
    }
    if let screened, screened.tokens > 0 { lines.append(screened.text) }
    lines.append("weights read a token: \(readable(bytes: bytes)); peak memory: \(readable(bytes: peakMemory()))")
    try Console.writeLine(lines.joined(separator: "\n"))
}

/// Some speeds in tokens per second.
private struct Speeds: CustomStringConvertible {
    let median, slowest, fastest: Double

    init(_ speeds: [Double]) {
        let sorted = speeds.sorted()
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        slowest = sorted[0]
        fastest = sorted[sorted.count - 1]
    }

    var description: String {
        "\(fixed(median)) tokens/s (\(fixed(slowest)) to \(fixed(fastest)))"
    }
}

extension Optional<Speeds> {
    fileprivate func json(_ field: (Speeds) -> Double) -> JSON {
        map { .double(field($0)) } ?? .null
    }
}

/// The first tokens of a file, or some that are always the same.
private func tokens(_ count: Int, of path: String?, _ model: Model) throws(Failure) -> [Int32] {
    guard let path else { return pseudoRandomIDs(count, below: model.config.vocabularySize) }
    // No token is longer than a few dozen bytes.
    let ids = model.tokenizer.encode(Array(try readAll(path).prefix(64 * count)), addSpecial: true)
    guard ids.count >= count else { throw Failure.problem("\(escaped(path)): has \(ids.count) tokens; \(count) are needed") }
    return Array(ids.prefix(count))
}

/// Valid token ids, the same in every run. Knuth's MMIX generator is random enough.
private func pseudoRandomIDs(_ count: Int, below limit: Int) -> [Int32] {
    var state: UInt64 = 42
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int32((state >> 33) % UInt64(limit))
    }
}

/// The most memory this process ever had, in bytes. Of the two sources the first is the better one: getrusage
/// also counts what the process was before it became this program.
private func peakMemory() -> Int {
    if let status = try? readAll("/proc/self/status") {
        for line in String(decoding: status, as: UTF8.self).split(separator: "\n") where line.hasPrefix("VmHWM:") {
            let words = line.split { $0 == " " || $0 == "\t" }
            if words.count > 1, let kilobytes = Int(words[1]) { return kilobytes * 1024 }
        }
    }
    var usage = rusage()  // 0: RUSAGE_SELF, whose type depends on the C library
    return getrusage(0, &usage) == 0 ? usage.ru_maxrss * 1024 : 0
}
