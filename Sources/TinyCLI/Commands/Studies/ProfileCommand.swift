// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime
import TinySupport
import TinyTraining

extension Command {
    static let profile = Command(
        name: "profile", summary: "measure which neurons and heads a text needs",
        operands: "[MODEL] TEXTFILE",
        details: """
            Evaluates chunks of the text, spread evenly over it, and prints for every layer the share of activations
            that are zero, the share of neurons that make up most of a token's activation, the overlap of
            consecutive tokens, and the norms of the heads' outputs. "-" is standard input.
            """,
        options: [
            .model, .threads, .kernels, .noVerify,
            Option(
                "context", "c", value: "N", "tokens per chunk (default: 512, or the model's context if that is less)"),
            Option("tokens", value: "N", "tokens to evaluate (default: 8192)"),
            Option("report", value: "FILE", "also write charts: .svg or .html"),
            .json,
        ],
        examples: [
            ("models/tinysparse-fairy.gguf tales.txt", "a table"),
            ("models/tinysparse-fairy.gguf tales.txt --report profile.html", "charts"),
        ],
        run: profileCommand)
}

private func profileCommand(_ arguments: Arguments) throws(Failure) {
    let (given, path) = try arguments.modelAndOperand("the text file")
    let count = try arguments.integer("tokens", in: 16...10_000_000) ?? 8192
    let wanted = try arguments.integer("context", in: 8...(1 << 24))
    let report = try arguments.chartFile("report")
    var options = Session.Options()
    options.threads = try arguments.threads()
    options.kernels = try arguments.kernels()

    let text = try readAll(path)
    let model = try Model.open(given, arguments)
    let context = wanted ?? min(512, model.config.contextLength)
    options.context = context
    var progress = Console.Progress()
    defer { progress.clear() }
    let profile: Profile
    do throws(RuntimeError) {
        let session = try Session(model, options)
        let sample = try TextSample(text, model, context: context, tokens: count)
        profile = try Profile(session, sample) { done, count in
            progress.show("chunk \(done)/\(count)")
            return Signals.pending == 0
        }
    } catch {
        throw Failure(error)
    }
    progress.clear()
    try Signals.check()

    if let report {
        try writeFile(report, profileChart(profile, name: model.config.name).document(for: report))
    }
    try Console.writeLine(arguments.has("json") ? json(profile, model) : table(profile, model))
}

private func table(_ profile: Profile, _ model: Model) -> String {
    func percent(_ share: Double) -> String { fixed(100 * share, 1).leftPadded(to: 6) }
    var lines = [
        "\(escaped(model.config.name)): \(profile.tokens) tokens; "
            + "\(model.config.dFF) neurons and \(model.config.nHeads) heads per layer",
        "         % of activations    % of neurons for   overlap          heads: 100 * |output| / |residual|",
        "layer    zero      small     90 %     99 %     of tokens  dead   mean of each",
    ]
    for (index, layer) in profile.layers.enumerated() {
        let heads = layer.heads.map { fixed(100 * $0, 1) }.joined(separator: " ")
        lines.append(
            "\(index)".leftPadded(to: 5) + "  " + percent(layer.zeros) + "     " + percent(layer.small) + "   "
                + percent(layer.for90) + "   " + percent(layer.for99) + "        " + percent(layer.overlap)
                + "\(layer.dead)".leftPadded(to: 6) + "   " + heads)
    }
    func mean(_ field: (LayerProfile) -> Double) -> String {
        percent(profile.layers.reduce(0) { $0 + field($1) } / Double(profile.layers.count))
    }
    lines.append(
        " mean  " + mean { $0.zeros } + "     " + mean { $0.small } + "   " + mean { $0.for90 } + "   "
            + mean { $0.for99 }
            + "        " + mean { $0.overlap })
    return lines.joined(separator: "\n")
}

private func json(_ profile: Profile, _ model: Model) -> String {
    let layers = profile.layers.map { layer -> JSON in
        .object([
            ("zeros", .double(layer.zeros)), ("small", .double(layer.small)),
            ("neurons_for_90_percent", .double(layer.for90)), ("neurons_for_99_percent", .double(layer.for99)),
            ("overlap", .double(layer.overlap)), ("dead", .number(layer.dead)),
            ("uses", .array(layer.uses.map { .number($0) })),
            ("head_norms", .array(layer.heads.map { .double($0) })),
        ])
    }
    return JSON.object([
        ("model", .string(model.config.name)), ("tokens", .number(profile.tokens)), ("layers", .array(layers)),
    ]).text()
}

/// The charts of a profile.
private func profileChart(_ profile: Profile, name: String) -> Chart {
    var chart = Chart(title: "Sparsity of \(name)", subtitle: "\(profile.tokens) tokens")
    let layers = profile.layers.indices.map { "\($0)" }
    func bars(_ title: String, _ field: (LayerProfile) -> Double) {
        chart.add(.bars(title, labels: layers, values: profile.layers.map { 100 * field($0) }, unit: "%"))
    }
    bars("Activations that are zero, by layer") { $0.zeros }
    bars("Neurons that make up 90 % of a token's activation") { $0.for90 }
    bars("Neurons that make up 99 % of a token's activation") { $0.for99 }
    bars("Active neurons that consecutive tokens share") { $0.overlap }
    let uses = profile.layers.enumerated().map { index, layer in
        Chart.Series(name: "layer \(index)", points: usageCurve(layer, tokens: profile.tokens))
    }
    chart.add(
        .lines(
            "How often a neuron is active, in descending order", x: "share of the neurons", y: "% of tokens",
            series: uses))
    var labels: [String] = [], norms: [Double] = []
    for (index, layer) in profile.layers.enumerated() {
        for (head, norm) in layer.heads.enumerated() {
            labels.append("\(index).\(head)")
            norms.append(100 * norm)
        }
    }
    chart.add(
        .bars(
            "Output of the heads (layer.head) relative to the residual stream", labels: labels, values: norms, unit: "%"
        ))
    return chart
}

/// How often neurons are active, in descending order: about 128 points.
private func usageCurve(_ layer: LayerProfile, tokens: Int) -> [(x: Double, y: Double)] {
    let sorted = layer.uses.sorted(by: >)
    var points: [(x: Double, y: Double)] = []
    for rank in stride(from: 0, to: sorted.count, by: max(sorted.count / 128, 1)) {
        points.append((Double(rank) / Double(sorted.count), 100 * Double(sorted[rank]) / Double(max(tokens, 1))))
    }
    return points
}
