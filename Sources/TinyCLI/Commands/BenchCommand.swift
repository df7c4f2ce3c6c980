// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinyRuntime
import TinySupport
import TinyTokenizer

extension Command {
    static let bench = Command(
        name: "bench", summary: "measure the speed of a model",
        operands: "[MODEL]",
        details: """
            Measures prefill (many tokens at once) and decode (one token at a time) as llama-bench does: tokens per
            second, the median and the range of some repetitions after one for warming up. The tokens are
            pseudo-random and always the same, unless --text names a file: which neurons, heads and logits a model
            skips depends on the text. Decoding asks for the argmax only.
            """,
        options: Option.running + [
            Option(
                "prompt-tokens", value: "N", formerly: ["-p", "--prompt"], "tokens to prefill, 0: skip (default: 128)"),
            .generate(default: 64),
            Option("text", value: "FILE", "take the tokens from a text"),
            Option("depth", "d", value: "N", "tokens in the KV cache before the measurement (default: 0)"),
            Option(
                "sequences", value: "N,...",
                "decode so many sequences at once, as batch does: the tokens per second of all (after prompts of "
                    + "--prompt-tokens)"),
            Option("stages", "report the time of each stage of decoding"),
            Option("limit", "measure the machine, too: its read bandwidth, its int8 peak, and the share reached"),
            Option("repetitions", "r", value: "N", "measured repetitions (default: 5)"),
            .json,
        ],
        examples: [
            ("-t 2", "the default model on two threads"),
            ("-m smollm2.gguf --prompt-tokens 512 --generate 128 -r 3 --json", "more tokens, as JSON"),
            ("--kernels scalar", "without SIMD"),
            ("--sequences 1,8,32 --prompt-tokens 32", "what decoding together gains"),
            ("-m smollm2.gguf --limit", "how near the machine's limits it comes"),
        ],
        run: benchCommand)
}

extension Option {
    /// How many tokens are decoded to measure the speed.
    static func generate(default count: Int) -> Option {
        Option("generate", value: "N", formerly: ["-n"], "tokens to decode, 0: skip (default: \(count))")
    }
}

private func benchCommand(_ arguments: Arguments) throws(Failure) {
    let path = try arguments.model()
    let promptCount = try arguments.integer("prompt-tokens", in: 0...(1 << 20)) ?? 128
    let decodeCount = try arguments.integer("generate", in: 0...(1 << 20)) ?? 64
    let repetitions = try arguments.integer("repetitions", in: 1...10_000) ?? 5
    guard promptCount + decodeCount > 0 else {
        throw Failure.usage("--prompt-tokens 0 --generate 0: nothing to measure")
    }
    if arguments.has("sequences") { return try benchSequences(arguments, path, promptCount, decodeCount, repetitions) }
    let depth = try arguments.integer("depth", in: 0...(1 << 24)) ?? 0
    let options = try Session.Options(arguments, context: depth + max(promptCount, decodeCount))

    let model = try Model.open(path, arguments)
    let session = try Session.open(model, options)
    let ids = try tokens(max(promptCount, decodeCount, depth), of: arguments.string("text"), model)
    var progress = Console.Progress()
    defer { progress.clear() }
    try session.prefillInterruptibly(Array(ids[..<depth]))

    let sample = arguments.has("limit") ? try sampleMemory() : nil

    /// Speeds of one kind of work, without the first run.
    func measure(_ name: String, _ count: Int, _ work: () throws(Failure) -> Void) throws(Failure) -> Speeds? {
        guard count > 0 else { return nil }
        var speeds: [Double] = []
        var limits: [MachineLimits] = []
        for repetition in 0...repetitions {
            progress.show("\(name) \(repetition)/\(repetitions)")
            session.rewind(to: depth)
            let start = ContinuousClock.now
            try work()
            guard repetition > 0 else { continue }
            speeds.append(Double(count) / seconds(since: start))
            // Beside every repetition, because the machine's speed drifts.
            if let sample { limits.append(MachineLimits(session, sample)) }
        }
        return Speeds(speeds, limits)
    }
    let prefill = try measure("prefill", promptCount) { () throws(Failure) in
        try session.prefillInterruptibly(Array(ids[..<promptCount]))
    }
    if arguments.has("stages") { session.measureStages() }
    let before = session.activity
    let screenedBefore = session.screenActivity
    let decode = try measure("decode", decodeCount) { () throws(Failure) in
        for id in ids[..<decodeCount] { try session.decodeInterruptibly(id) }
    }
    progress.clear()

    let report = BenchReport(
        session: session, isDense: options.sparsity.isOff, sparsity: arguments.string("sparsity") ?? "auto",
        promptCount: promptCount, decodeCount: decodeCount, depth: depth, repetitions: repetitions, prefill: prefill,
        decode: decode, activity: session.activity - before,
        screened: session.screenActivity.map { $0 - screenedBefore! })
    try Console.writeLine(arguments.has("json") ? report.json.text() : report.text)
}

private func benchSequences(
    _ arguments: Arguments, _ path: String?, _ promptCount: Int, _ decodeCount: Int, _ repetitions: Int
) throws(Failure) {
    let words = arguments.string("sequences")!.split(separator: ",", omittingEmptySubsequences: false)
    let counts = words.compactMap { Int($0) }.filter { 1...256 ~= $0 }
    guard counts.count == words.count, let most = counts.max() else {
        throw arguments.invalid("sequences", "numbers from 1 to 256 with commas between them")
    }
    guard promptCount > 0, decodeCount > 0 else {
        throw Failure.usage("--sequences needs --prompt-tokens and --generate above 0")
    }
    for option in ["depth", "stages", "limit"] { try arguments.exclude(option, "sequences") }
    let options = try Session.Options(arguments)
    let model = try Model.open(path, arguments)
    try options.requirePredictors(of: model)
    let benchmark = SequencesBenchmark(
        model: model, options: options, promptCount: promptCount, decodeCount: decodeCount, repetitions: repetitions,
        ids: try tokens(max(promptCount, most * (repetitions + 1)), of: arguments.string("text"), model))
    let report = try benchmark.run(counts)
    try Console.writeLine(arguments.has("json") ? report.json.text() : report.text)
}

/// What a benchmark found.
struct BenchReport {
    let session: Session
    let isDense: Bool
    /// The option as given.
    let sparsity: String
    let promptCount, decodeCount, depth, repetitions: Int
    let prefill, decode: Speeds?
    /// Neurons and heads computed while decoding.
    let activity: Activity
    let screened: LMHeadScreenActivity?

    var model: Model { session.model }

    /// Bytes of weights read per decoded token.
    var bytesPerToken: Int {
        let layers = isDense ? model.bytesPerToken : model.bytesRead(activity, heads: true)
        guard let screened, screened.tokens > 0 else { return layers }
        return layers
            - model.bytesSavedByScreen(denseShare: screened.denseShare, rowsPerToken: screened.rowsPerToken)
    }

    /// Microseconds per decoded token, by stage; nil without --stages.
    private var stages: [(stage: Stage, microseconds: Double)]? {
        session.stageSeconds.map { sums in
            zip(Stage.allCases, sums).map { ($0, $1 * 1e6 / Double(decodeCount * (repetitions + 1))) }
        }
    }

    var json: JSON {
        var report: [(key: String, value: JSON)] = [
            ("model", .string(model.config.name)), ("file", .string(model.file.path)),
            ("version", .string(TinySparseVersion.string)),
            ("kernels", .string(session.kernelName)), ("threads", .number(session.threads)),
            ("sparsity", .string(sparsity)),
            ("prompt_tokens", .number(promptCount)), ("generated_tokens", .number(decodeCount)),
            ("depth", .number(depth)),
            ("repetitions", .number(repetitions)),
            ("prefill_tokens_per_second", prefill.json { $0.median }),
            ("prefill_tokens_per_second_min", prefill.json { $0.slowest }),
            ("prefill_tokens_per_second_max", prefill.json { $0.fastest }),
            ("decode_tokens_per_second", decode.json { $0.median }),
            ("decode_tokens_per_second_min", decode.json { $0.slowest }),
            ("decode_tokens_per_second_max", decode.json { $0.fastest }),
            ("parameters", .number(model.config.parameterCount)),
            ("limits", limitsJSON),
            ("bytes_read_per_token", .number(bytesPerToken)), ("neurons_computed", .double(activity.neuronShare)),
            ("heads_computed", .double(activity.headShare)), ("lm_head_screen", screened?.json ?? .null),
            ("peak_rss_bytes", .number(peakMemory())),
        ]
        if let stages {
            report.append(
                ("decode_microseconds_by_stage", .object(stages.map { ("\($0.stage)", .double($0.microseconds)) })))
        }
        return .object(report)
    }

    var text: String {
        var lines = ["\(escaped(model.config.name)), \(session.kernelName), \(session.threads) threads"]
        if let prefill { lines.append("prefill \("\(promptCount)".leftPadded(to: 5)) tokens: \(prefill)") }
        if let decode {
            let bandwidth = Double(bytesPerToken) * decode.median / 1e9
            let count = "\(decodeCount)".leftPadded(to: 5)
            lines.append("decode  \(count) tokens: \(decode), \(fixed(bandwidth, 1)) GB/s of weights")
        }
        lines += limitLines
        if activity.neuronShare < 1 || activity.headShare < 1 {
            lines.append(
                "skipped: \(fixed(100 * (1 - activity.neuronShare), 1)) % of neurons, "
                    + "\(fixed(100 * (1 - activity.headShare), 1)) % of heads")
        }
        if let stages {
            lines.append(
                "per token: " + stages.map { "\($0.stage) \(fixed($0.microseconds)) us" }.joined(separator: ", "))
        }
        if let screened, screened.tokens > 0 { lines.append(screened.text) }
        lines.append(
            "weights read per token: \(readable(bytes: bytesPerToken)); peak memory: \(readable(bytes: peakMemory()))")
        return lines.joined(separator: "\n")
    }
}

private func sampleMemory() throws(Failure) -> MappedFile {
    do { return try MachineLimits.sampleMemory() } catch { throw Failure(error) }
}

/// The first tokens of a text file, or pseudo-random ones.
private func tokens(_ count: Int, of path: String?, _ model: Model) throws(Failure) -> [Int32] {
    guard let path else { return pseudoRandomIDs(count, below: model.config.vocabularySize) }
    // 64 bytes per token are more than any text needs.
    let ids = model.tokenizer.encode(Array(try readAll(path).prefix(64 * count)), addSpecial: true)
    guard ids.count >= count else {
        throw Failure.problem("\(escaped(path)): has \(ids.count) tokens, expected at least \(count)")
    }
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

/// The peak resident size of this process in bytes. /proc is preferred: getrusage also counts the process image
/// before exec.
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
