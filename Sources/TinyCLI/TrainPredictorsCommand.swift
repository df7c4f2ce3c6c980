import TinyRuntime
import TinySupport
import TinyTraining

extension Command {
    static let trainPredictors = Command(
        name: "train-predictors", summary: "teach a model which neurons and heads it can skip",
        operands: "MODEL TEXTFILE",
        details: """
            Watches the model read the text and trains, for every layer, a small network that names the neurons
            and heads a token needs. Then chooses thresholds so that perplexity grows by the budget at most, and
            writes the model with its predictors. Trains a screen of the output matrix, too: a product of low rank
            that finds the likeliest tokens. With --rank 0 --head-rank 0 only that, and the model keeps its
            predictors. A training that was interrupted goes on where it stopped when
            the same command is given again.
            """,
        options: [
            Option("output", "o", value: "OUT", "the model file to write"),
            Option("neurons", value: "HOW", "what names neurons: predictors, or gates (default for gated models but ReLU)"),
            Option("rank", value: "R", "rank of the predictors of neurons, 0: none (default: 32)"),
            Option("group", value: "N", "neighboring neurons that share a score, 1 to 128 (default: 1)"),
            Option("head-rank", value: "R", "rank of the predictors of heads, 0: none (default: 16)"),
            Option("lm-head-screen-rank", value: "R", "rank of the screen of the output matrix, 0: none (default: 64; 128 for wide, 0 for tiny models)"),
            Option("lookahead", "name the neurons before the attention of their layer runs"),
            Option("tokens", value: "N", "tokens to learn from (default: 50000)"),
            Option("epochs", value: "N", "how often (default: 6)"),
            Option("budget", value: "X%", "how much perplexity may grow (default: 1%)"),
            Option("recall", value: "X%", "least share to be found of firing neurons, with ReLU, and of the heads that do more (default: 95%)"),
            Option("top", value: "X%", "without ReLU: the share of neurons that counts as active (default: 25%)"),
            Option("seed", value: "N", "of the random numbers (default: 1)"),
            Option("force", "f", "write over OUT if it is there"),
            .threads, .kernels, .noVerify, .json,
        ],
        examples: [
            ("models/dense.gguf tales.txt -o models/sparse.gguf", "the defaults"),
            ("dense.gguf tales.txt -o sparse.gguf --budget 0.5% --rank 24", "more careful, smaller"),
            ("sparse.gguf tales.txt -o screened.gguf --rank 0 --head-rank 0", "add a screen to what is there"),
        ],
        run: trainPredictorsCommand)
}

private func trainPredictorsCommand(_ arguments: Arguments) throws {
    try arguments.limitOperands(to: 2, hint: "; the file to write goes after -o")
    guard arguments.operands.count == 2 else { throw Failure.usage("give the model and the text file") }
    guard let output = arguments.string("output") else { throw Failure.usage("-o OUT is missing") }
    if fileExists(output), !arguments.has("force") {
        throw Failure.problem("\(escaped(output)): is there already; --force writes over it")
    }
    var options = PredictorOptions()
    switch arguments.string("neurons") {
    case nil: break
    case "predictors"?: options.neurons = .predictors
    case "gates"?: options.neurons = .gates
    case let other?: throw Failure.usage("--neurons \(escaped(other, limit: 80)): predictors or gates is needed")
    }
    options.rank = try arguments.integer("rank", in: 0...4096) ?? options.rank
    options.group = try arguments.integer("group", in: 1...128) ?? options.group
    options.headRank = try arguments.integer("head-rank", in: 0...4096) ?? options.headRank
    options.screenRank = try arguments.integer("lm-head-screen-rank", in: 0...4096)
    options.lookahead = arguments.has("lookahead")
    options.tokens = try arguments.integer("tokens", in: 256...10_000_000) ?? options.tokens
    options.epochs = try arguments.integer("epochs", in: 0...1000) ?? options.epochs
    options.budget = try arguments.percentage("budget") ?? options.budget
    options.recall = try arguments.percentage("recall") ?? options.recall
    options.topShare = try arguments.percentage("top") ?? options.topShare
    options.seed = try arguments.integer("seed", in: 0...UInt64.max) ?? options.seed
    options.session.threads = try arguments.integer("threads", in: 1...256) ?? 0
    options.session.kernels = arguments.string("kernels")

    let start = ContinuousClock.now
    let text = try readAll(arguments.operands[1])
    let model = try Model.open(arguments.operands[0], arguments)
    var progress = Console.Progress()
    defer { progress.clear() }
    let training = try PredictorTraining(model, text: text, options, statePath: output + ".state") { event in
        show(event, &progress)
        return Signals.pending == 0
    }
    let result: TrainingResult
    do {
        result = try training.run(to: output)
    } catch is TrainingStopped {
        progress.clear()
        Console.note("\(escaped(output)).state has what is finished; the same command goes on from there")
        throw Signals.failure
    }
    progress.clear()
    let time = seconds(since: start)
    try Console.writeLine(arguments.has("json") ? json(result, model, time) : table(result, model, output, time))
}

extension Arguments {
    /// A share written as 1% or 0.01, or nil if the option was not given.
    func percentage(_ name: String) throws(Failure) -> Double? {
        guard let text = string(name) else { return nil }
        let isPercent = text.hasSuffix("%")
        guard let value = Double(isPercent ? String(text.dropLast()) : text), (0...100).contains(value),
            isPercent || value <= 1
        else { throw .usage("--\(name) \(escaped(text, limit: 80)): a share is needed, 1% or 0.01") }
        return isPercent ? value / 100 : value
    }
}

private func show(_ event: TrainingEvent, _ progress: inout Console.Progress) {
    switch event {
    case .reading(let layers, let done, let count):
        progress.show("reading for layers \(layers.lowerBound)-\(layers.upperBound - 1): piece \(done)/\(count)")
    case .resumed(let count):
        Console.note("going on: \(count) predictors are trained already")
    case .epoch(let layer, let heads, let epoch, let count, let score):
        let line =
            "layer \(layer) \(heads ? "heads  " : "neurons") epoch \(epoch)/\(count): loss \(fixed(score.loss, 4)), "
            + "recall \(fixed(100 * score.recall, 1)) %, precision \(fixed(100 * score.precision, 1)) %, "
            + "kept \(fixed(100 * score.kept, 1)) %"
        if epoch == 0 || epoch == count {
            progress.clear()
            Console.note(line)
        } else {
            progress.show(line)
        }
    case .screening(let step, let done, let count):
        progress.show("screen of the output matrix: \(step.rawValue) \(done)/\(count)")
    case .calibrating(let step, let count, let quality):
        guard let quality else { return progress.show("calibrating") }
        progress.clear()
        Console.note(
            "calibrating \(step)/\(count): perplexity \(signed(100 * quality.perplexityIncrease)) % "
                + "(+- \(fixed(100 * quality.lossIncreaseError, 2))), neurons kept \(fixed(100 * quality.activity.neuronShare, 1)) %, "
                + "heads kept \(fixed(100 * quality.activity.headShare, 1)) %")
    }
}

func signed(_ value: Double, _ digits: Int = 2) -> String { (value < 0 ? "" : "+") + fixed(value, digits) }

private func table(_ result: TrainingResult, _ model: Model, _ output: String, _ time: Double) -> String {
    var lines = result.quality.tokens > 0 ? predictorLines(result) : []
    if let screen = result.screen { lines += screenLines(screen) }
    lines.append("\(escaped(output)) in \(fixed(time, 1)) s")
    return lines.joined(separator: "\n")
}

private func predictorLines(_ result: TrainingResult) -> [String] {
    func cells(_ report: PredictorReport?) -> String {
        guard let report else { return "dense".padded(to: 44) }
        let share = Double(report.predictorBytes) / max(Double(report.bytes) * (1 - report.kept), 1)
        return (report.rank == 0 ? "gate" : "\(report.rank)").leftPadded(to: 4) + fixed(Double(report.threshold), 2).leftPadded(to: 8)
            + [report.recall, report.precision, 1 - report.kept, share].map { fixed(100 * $0, 1).leftPadded(to: 8) }.joined()
    }
    var lines = [
        "        neurons                                       heads",
        "layer   rank  thresh  recall   prec.  skipped  cost    rank  thresh  recall   prec.  skipped  cost",
    ]
    for layer in result.neurons.indices {
        lines.append("\(layer)".leftPadded(to: 5) + "   " + cells(result.neurons[layer]) + "    " + cells(result.heads[layer]))
    }
    func describe(_ what: String, _ q: Quality) -> String {
        "\(what): perplexity \(fixed(q.densePerplexity, 4)) -> \(fixed(q.perplexity, 4)) (\(signed(100 * q.perplexityIncrease)) % "
            + "+- \(fixed(100 * q.lossIncreaseError, 2))), KL \(fixed(q.kl, 5)), same best token \(fixed(100 * q.agreement, 1)) %, "
            + "neurons skipped \(fixed(100 * (1 - q.activity.neuronShare), 1)) %, "
            + "heads skipped \(fixed(100 * (1 - q.activity.headShare), 1)) %"
    }
    lines.append("(% of tokens not trained on; cost: what the predictor reads by what it saves; gate: recall of energy)")
    lines.append(describe("heads only", result.headQuality))
    lines.append(describe("together  ", result.quality))
    return lines
}

private func screenLines(_ report: ScreenReport) -> [String] {
    let config = report.config
    return [
        "screen of the output matrix: rank \(config.rank), \(readable(bytes: report.bytes)); margin "
            + "\(fixed(Double(config.margin), 3)) for the best token, \(fixed(Double(config.wideMargin), 3)) for several",
        report.quality.text,
    ]
}

private func json(_ result: TrainingResult, _ model: Model, _ time: Double) -> String {
    func report(_ report: PredictorReport?) -> JSON {
        guard let report else { return .null }
        return .object([
            ("rank", .number(report.rank)), ("threshold", .double(Double(report.threshold))),
            ("recall", .double(report.recall)), ("precision", .double(report.precision)), ("kept", .double(report.kept)),
            ("bytes", .number(report.bytes)), ("predictor_bytes", .number(report.predictorBytes)),
        ])
    }
    return JSON.object([
        ("model", .string(model.config.name)),
        ("neurons", .array(result.neurons.map(report))), ("heads", .array(result.heads.map(report))),
        ("heads_only", result.headQuality.json), ("together", result.quality.json),
        ("lm_head_screen", result.screen?.json ?? .null), ("seconds", .double(time)),
    ]).text()
}

extension Quality {
    var json: JSON {
        .object([
            ("tokens", .number(tokens)), ("dense_perplexity", .double(densePerplexity)), ("perplexity", .double(perplexity)),
            ("perplexity_increase", .double(perplexityIncrease)), ("standard_error", .double(lossIncreaseError)),
            ("kl", .double(kl)), ("agreement", .double(agreement)), ("neurons_kept", .double(activity.neuronShare)),
            ("heads_kept", .double(activity.headShare)),
        ])
    }
}

extension ScreenReport {
    fileprivate var json: JSON {
        .object([
            ("rank", .number(config.rank)), ("rows", .number(config.rows)), ("margin", .double(Double(config.margin))),
            ("wide_margin", .double(Double(config.wideMargin))), ("bytes", .number(bytes)), ("quality", quality.json),
        ])
    }
}
