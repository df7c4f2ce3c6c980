// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinyRuntime
import TinySupport
import TinyTraining

extension Command {
    static let trainPredictors = Command(
        name: "train-predictors", summary: "train predictors of the neurons and heads to skip",
        operands: "[MODEL] TEXTFILE",
        details: """
            Runs the model on the text and trains, for every layer, a small network that predicts the neurons and
            heads a token needs. Then calibrates thresholds so that perplexity grows by at most the budget, and
            writes the model with its predictors. Also trains a logit screen: a low-rank approximation of the output
            matrix that yields a shortlist of tokens. With --rank 0 --head-rank 0 it trains only the screen, and the
            model keeps its predictors. An interrupted training resumes when the same command is repeated.
            """,
        options: [
            .model, .output,
            Option(
                "neurons", value: "HOW",
                "how neurons are selected: predictors or gates (default: gates for gated non-ReLU models)"),
            Option("rank", value: "R", "rank of the neuron predictors, 0: none (default: 32)"),
            Option("group", value: "N", "adjacent neurons that share a score, 1 to 128 (default: 1)"),
            Option("head-rank", value: "R", "rank of the head predictors, 0: none (default: 16)"),
            Option(
                "lm-head-screen-rank", value: "R",
                "rank of the logit screen, 0: none (default: 64; 128 for wide, 0 for tiny models)"),
            Option("lookahead", "select the neurons of a layer before its attention runs"),
            Option("tokens", value: "N", "training tokens (default: 50000)"),
            Option("epochs", value: "N", "training epochs (default: 6)"),
            Option("budget", value: "X%", "maximum increase of perplexity (default: 1%)"),
            Option(
                "recall", value: "X%",
                "minimum recall of active neurons (ReLU) and of above-median heads (default: 95%)"),
            Option("top", value: "X%", "without ReLU: the share of neurons that count as active (default: 25%)"),
            Option("seed", value: "N", "seed of the random numbers (default: 1)"),
            .force,
            .threads, .kernels, .noVerify, .json,
        ],
        examples: [
            ("models/dense.gguf tales.txt -o models/sparse.gguf", "the defaults"),
            ("dense.gguf tales.txt -o sparse.gguf --budget 0.5% --rank 24", "a smaller budget, smaller predictors"),
            (
                "sparse.gguf tales.txt -o screened.gguf --rank 0 --head-rank 0",
                "add a screen to a model with predictors"
            ),
        ],
        run: trainPredictorsCommand)
}

private func trainPredictorsCommand(_ arguments: Arguments) throws(Failure) {
    let (given, path) = try arguments.modelAndOperand("the text file", hint: "; the file to write follows -o")
    guard let output = arguments.string("output") else { throw Failure.usage("--output OUT is missing") }
    let options = try PredictorOptions(arguments)
    try arguments.requireNew(output)

    let start = ContinuousClock.now
    let text = try readAll(path)
    let model = try Model.open(given, arguments)
    let display = TrainingDisplay(layers: model.config.nLayers)
    defer { display.clear() }
    let result: TrainingResult
    do throws(TrainingError) {
        let training = try PredictorTraining(model, text: text, options, statePath: output + ".state") { event in
            display.show(event)
            return Signals.pending == 0
        }
        result = try training.run(to: output)
    } catch {
        display.clear()
        if error == .stopped {
            Console.note("\(escaped(output)).state has the finished part; repeat the command to resume")
        }
        throw Failure(error)
    }
    display.clear()
    let time = seconds(since: start)
    try Console.writeLine(arguments.has("json") ? json(result, model, time) : table(result, model, output, time))
}

extension PredictorOptions {
    /// - Throws: `Failure.usage`; `Failure.problem` for kernels that cannot run here.
    fileprivate init(_ arguments: Arguments) throws(Failure) {
        self.init()
        switch arguments.string("neurons") {
        case nil: break
        case "predictors"?: neurons = .predictors
        case "gates"?: neurons = .gates
        default: throw arguments.invalid("neurons", "predictors or gates")
        }
        rank = try arguments.integer("rank", in: 0...4096) ?? rank
        group = try arguments.integer("group", in: 1...128) ?? group
        headRank = try arguments.integer("head-rank", in: 0...4096) ?? headRank
        screenRank = try arguments.integer("lm-head-screen-rank", in: 0...4096)
        lookahead = arguments.has("lookahead")
        tokens = try arguments.integer("tokens", in: 256...10_000_000) ?? tokens
        epochs = try arguments.integer("epochs", in: 0...1000) ?? epochs
        budget = try arguments.percentage("budget") ?? budget
        recall = try arguments.percentage("recall") ?? recall
        topShare = try arguments.percentage("top") ?? topShare
        seed = try arguments.integer("seed", in: 0...UInt64.max) ?? seed
        session.threads = try arguments.threads()
        session.kernels = try arguments.kernels()
    }
}

extension Arguments {
    /// A share written as 1% or 0.01, or nil if the option was not given.
    func percentage(_ name: String) throws(Failure) -> Double? {
        guard let text = string(name) else { return nil }
        let isPercent = text.hasSuffix("%")
        guard let value = Double(isPercent ? String(text.dropLast()) : text), (0...100).contains(value),
            isPercent || value <= 1
        else { throw invalid(name, "a share such as 1% or 0.01") }
        return isPercent ? value / 100 : value
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
        return (report.rank == 0 ? "gate" : "\(report.rank)").leftPadded(to: 4)
            + fixed(Double(report.threshold), 2).leftPadded(to: 8)
            + [report.recall, report.precision, 1 - report.kept, share].map { fixed(100 * $0, 1).leftPadded(to: 8) }
            .joined()
    }
    var lines = [
        "        neurons                                       heads",
        "layer   rank  thresh  recall   prec.  skipped  cost    rank  thresh  recall   prec.  skipped  cost",
    ]
    for layer in result.neurons.indices {
        lines.append(
            "\(layer)".leftPadded(to: 5) + "   " + cells(result.neurons[layer]) + "    " + cells(result.heads[layer]))
    }
    func describe(_ what: String, _ q: Quality) -> String {
        "\(what): perplexity \(fixed(q.densePerplexity, 4)) -> \(fixed(q.perplexity, 4)) (\(signed(100 * q.perplexityIncrease)) % "
            + "+- \(fixed(100 * q.lossIncreaseError, 2))), KL \(fixed(q.kl, 5)), same argmax \(fixed(100 * q.agreement, 1)) %, "
            + "neurons skipped \(fixed(100 * (1 - q.activity.neuronShare), 1)) %, "
            + "heads skipped \(fixed(100 * (1 - q.activity.headShare), 1)) %"
    }
    lines.append(
        "(% on held-out tokens; cost: bytes read by the predictor relative to those saved; gate: recall of energy)")
    lines.append(describe("heads only", result.headQuality))
    lines.append(describe("together  ", result.quality))
    return lines
}

private func screenLines(_ report: LMHeadScreenReport) -> [String] {
    let config = report.config
    return [
        "logit screen: rank \(config.rank), \(readable(bytes: report.bytes)); margin "
            + "\(fixed(Double(config.margin), 3)) for the argmax, \(fixed(Double(config.wideMargin), 3)) for top-k",
        report.quality.text,
    ]
}

private func json(_ result: TrainingResult, _ model: Model, _ time: Double) -> String {
    func report(_ report: PredictorReport?) -> JSON {
        guard let report else { return .null }
        return .object([
            ("rank", .number(report.rank)), ("threshold", .double(Double(report.threshold))),
            ("recall", .double(report.recall)), ("precision", .double(report.precision)),
            ("kept", .double(report.kept)),
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
            ("tokens", .number(tokens)), ("dense_perplexity", .double(densePerplexity)),
            ("perplexity", .double(perplexity)),
            ("perplexity_increase", .double(perplexityIncrease)), ("standard_error", .double(lossIncreaseError)),
            ("kl", .double(kl)), ("agreement", .double(agreement)), ("neurons_kept", .double(activity.neuronShare)),
            ("heads_kept", .double(activity.headShare)),
        ])
    }
}

extension LMHeadScreenReport {
    fileprivate var json: JSON {
        .object([
            ("rank", .number(config.rank)), ("rows", .number(config.rows)), ("margin", .double(Double(config.margin))),
            ("wide_margin", .double(Double(config.wideMargin))), ("bytes", .number(bytes)), ("quality", quality.json),
        ])
    }
}
