// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime
import TinySupport
import TinyTraining

extension Command {
    static let sweep = Command(
        name: "sweep", summary: "compare methods of skipping neurons",
        operands: "[MODEL] TEXTFILE",
        details: """
            Computes fixed shares of each layer's neurons, selected by an oracle that knows all activations, by the
            model's predictors, by their frequency in the first half of the text, and at random, and compares the
            second half of the text with the dense model: perplexity, KL divergence, same argmax, weights read
            per token, and, for the predictors, decode throughput, interleaved with the dense model. The first rows
            are the model's own thresholds, without and with its logit screen if it has one.
            """,
        options: [
            .model,
            Option("chunks", value: "N", "chunks of the text to evaluate (default: 8)"),
            Option(
                "context", "c", value: "N", "tokens per chunk (default: 512, or the model's context if that is less)"),
            Option("keep", value: "LIST", "shares to compute (default: \(defaultShares))"),
            .generate(default: 256),
            Option("plot", value: "FILE", "also write charts: .svg or .html"),
            .threads, .kernels, .noVerify, .json,
        ],
        examples: [
            ("models/tinysparse-fairy.gguf tales.txt --plot sweep.svg", "everything"),
            ("models/tinysparse-fairy.gguf tales.txt --keep 0.1,0.2 --generate 0", "two shares, no throughput"),
        ],
        run: sweepCommand)
}

private let defaultShares = "0.05,0.1,0.15,0.2,0.3,0.4,0.6,0.8,1"

private func sweepCommand(_ arguments: Arguments) throws(Failure) {
    let (given, path) = try arguments.modelAndOperand("the text file")
    let chunks = try arguments.integer("chunks", in: 1...100_000) ?? 8
    let wanted = try arguments.integer("context", in: 16...(1 << 24))
    let generated = try arguments.integer("generate", in: 0...100_000) ?? 256
    let shares = try (arguments.string("keep") ?? defaultShares).split(separator: ",").map { word throws(Failure) in
        guard let share = Double(word), share > 0, share <= 1 else {
            throw arguments.invalid("keep", "a comma-separated list of shares above 0 and at most 1")
        }
        return share
    }
    let plot = try arguments.chartFile("plot")
    var options = Session.Options()
    options.threads = try arguments.threads()
    options.kernels = try arguments.kernels()

    let text = try readAll(path)
    let model = try Model.open(given, arguments)
    let context = wanted ?? min(512, model.config.contextLength)
    let points: [SweepPoint]
    do throws(RuntimeError) {
        let sweep = try Sweep(model, text: text, chunks: chunks, context: context, options)
        points = try measure(sweep, shares: shares, tokens: min(generated, context - 8))
    } catch {
        throw Failure(error)
    }
    try Signals.check()

    if let plot { try writeFile(plot, sweepChart(points, name: model.config.name).document(for: plot)) }
    try Console.writeLine(arguments.has("json") ? json(points, model) : table(points, model))
    for line in violations(points) { Console.note(line) }
}

/// The model's own thresholds, without and with its screen, then every method for every share.
/// - Parameter count: Tokens to decode for the throughput; 0 skips it.
/// - Returns: some of the points if a signal is pending.
private func measure(_ sweep: Sweep, shares: [Double], tokens count: Int) throws(RuntimeError) -> [SweepPoint] {
    var progress = Console.Progress()
    defer { progress.clear() }
    var points: [SweepPoint] = []
    if var point = try sweep.automatic({ _, _ in Signals.pending == 0 }) {
        guard Signals.pending == 0 else { return points }
        if count > 0 { point = point.with(speed: try sweep.speed(.predicted(), tokens: count)) }
        points.append(point)
        if var screened = try sweep.screened(point, { _, _ in Signals.pending == 0 }) {
            if count > 0 {
                screened = screened.with(speed: try sweep.speed(.predicted(), screensHead: true, tokens: count))
            }
            points.append(screened)
        }
        guard Signals.pending == 0 else { return points }
    }
    for share in shares {
        var some = try sweep.points(keep: share) { done, count in
            progress.show("share \(fixed(share)): chunk \(done)/\(count)")
            return Signals.pending == 0
        }
        guard Signals.pending == 0 else { return points }
        if count > 0, let index = some.firstIndex(where: { $0.method == .predictor }) {
            some[index] = some[index].with(speed: try sweep.speed(.keep(share, heads: false), tokens: count))
        }
        points += some
    }
    return points
}

private func table(_ points: [SweepPoint], _ model: Model) -> String {
    func row(_ name: String, _ cells: [String]) -> String {
        name.padded(to: 18) + cells.map { $0.leftPadded(to: 10) }.joined()
    }
    var lines = [
        "\(escaped(model.config.name)): \(points.first?.quality.tokens ?? 0) tokens scored, dense perplexity "
            + "\(fixed(points.first?.quality.densePerplexity ?? .nan, 4)), \(readable(bytes: model.bytesPerToken)) per token"
    ]
    lines.append(
        row(
            "method, share",
            [
                "perplex.", "+ %", "KL", "argmax", "neurons", "heads", "MB/token", "tokens/s", "dense", "speedup",
            ]))
    for point in points {
        let q = point.quality
        let neurons = point.method == .oracle ? point.keep : q.activity.neuronShare
        var cells = [
            fixed(q.perplexity, 3), signed(100 * q.perplexityIncrease), fixed(q.kl, 4), fixed(100 * q.agreement, 1),
            fixed(100 * neurons, 1), fixed(100 * q.activity.headShare, 1),
            point.bytes.map { fixed(Double($0) / 1e6, 2) } ?? "-",
        ]
        if let speed = point.speed {
            cells += [fixed(speed.sparse, 1), fixed(speed.dense, 1), fixed(speed.sparse / speed.dense, 2)]
        }
        let own = point.screen == nil ? "own thresholds" : "with the screen"
        lines.append(row(point.method.map { "\($0.rawValue) \(fixed(point.keep))" } ?? own, cells))
    }
    for case let screen? in points.map({ $0.screen }) { lines.append(screen.text) }
    return lines.joined(separator: "\n")
}

private func json(_ points: [SweepPoint], _ model: Model) -> String {
    let rows = points.map { point -> JSON in
        var row: [(key: String, value: JSON)] = [
            ("method", .string(point.method?.rawValue ?? "automatic")), ("keep", .double(point.keep)),
            ("quality", point.quality.json), ("bytes_read_per_token", point.bytes.map { .number($0) } ?? .null),
        ]
        if let speed = point.speed {
            row += [("tokens_per_second", .double(speed.sparse)), ("dense_tokens_per_second", .double(speed.dense))]
        }
        if let screen = point.screen { row.append(("lm_head_screen", screen.json)) }
        return .object(row)
    }
    return JSON.object([
        ("model", .string(model.config.name)), ("dense_bytes_read_per_token", .number(model.bytesPerToken)),
        ("points", .array(rows)),
    ]).text()
}

/// Shares at which a better informed method did worse than a less informed one.
private func violations(_ points: [SweepPoint]) -> [String] {
    var lines: [String] = []
    for better in points {
        guard let method = better.method, better.keep < 1 else { continue }
        let rest = SweepMethod.allCases.drop { $0 != method }.dropFirst()
        for worse in points where worse.keep == better.keep && worse.method.map(rest.contains) == true {
            guard better.quality.kl > worse.quality.kl else { continue }
            lines.append(
                "note: at a share of \(fixed(better.keep)), \(method.rawValue) diverges more from dense than \(worse.method!.rawValue)"
            )
        }
    }
    return lines
}

private func sweepChart(_ points: [SweepPoint], name: String) -> Chart {
    var chart = Chart(
        title: "Methods of skipping neurons: \(name)", subtitle: "\(points.first?.quality.tokens ?? 0) tokens scored")
    func series(_ y: (Quality) -> Double) -> [Chart.Series] {
        SweepMethod.allCases.map { method in
            Chart.Series(
                name: method.rawValue, points: points.filter { $0.method == method }.map { ($0.keep, y($0.quality)) })
        }.filter { !$0.points.isEmpty }
    }
    let x = "share of the neurons computed"
    chart.add(.lines("Perplexity", x: x, y: "perplexity, logarithmic", series: series { $0.perplexity }, isLog: true))
    chart.add(
        .lines(
            "Divergence from the dense model", x: x, y: "KL in nats, logarithmic", series: series { max($0.kl, 1e-5) },
            isLog: true))
    chart.add(
        .lines("Same argmax as the dense model", x: x, y: "% of positions", series: series { 100 * $0.agreement }))
    let timed = points.compactMap { point in
        point.method == .predictor
            ? point.speed.map { ($0.sparse / $0.dense, 100 * point.quality.perplexityIncrease) } : nil
    }
    if !timed.isEmpty {
        let line = Chart.Series(name: "predictor", points: timed.sorted { $0.0 < $1.0 }.map { (x: $0.0, y: $0.1) })
        chart.add(
            .lines(
                "Quality vs. speed", x: "speedup over the dense model", y: "increase of perplexity in %", series: [line]
            ))
    }
    return chart
}
