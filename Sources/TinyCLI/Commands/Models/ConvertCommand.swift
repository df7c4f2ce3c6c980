// SPDX-License-Identifier: Apache-2.0

import TinyConversion
import TinyFormats
import TinyPlatform
import TinySupport

extension Command {
    static let convert = Command(
        name: "convert", summary: "convert a model to the native format",
        operands: "IN OUT",
        details: """
            IN is a .gguf file, or a Hugging Face folder with config.json, safetensors and tokenizer.json. OUT
            is a native file: int8 or 4-bit weights with checksums, in the layout that is mapped into memory.
            A conversion that fails or is interrupted leaves nothing behind. 4-bit weights read a third less
            memory per token and cost some quality; Q4_0 and Q4_1 weights are kept as they are.
            PowerInfer's .gguf files are converted with their predictors. Predictors of PowerInfer or Deja Vu in
            files of their own become a folder for --predictors by Examples/Predictors/import_predictors.py.
            """,
        options: [
            Option(
                "weights", value: "FORMAT", "int8 (default); w4: 4-bit, output matrix int8; w4-all: everything 4-bit"),
            Option("predictors", value: "FOLDER", "predictors.safetensors and predictors.json, trained elsewhere"),
            .force,
            Option("quiet", "q", "print no progress, notes or report"),
        ],
        examples: [
            ("SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2.gguf", "a model file of llama.cpp"),
            ("./SmolLM2-135M models/smollm2.gguf", "a Hugging Face folder"),
            ("./opt-1.3b models/opt.gguf --predictors ./imported", "with predictors that were trained elsewhere"),
        ],
        run: convertCommand)
}

private func convertCommand(_ arguments: Arguments) throws(Failure) {
    try arguments.limitOperands(to: 2)
    guard arguments.operands.count == 2 else { throw Failure.usage("expected the source model and the file to write") }
    let (input, output) = (arguments.operands[0], arguments.operands[1])
    let name = arguments.string("weights") ?? WeightFormat.int8.rawValue
    guard let weights = WeightFormat(rawValue: name) else {
        throw arguments.invalid(
            "weights", "one of " + WeightFormat.allCases.map { $0.rawValue }.joined(separator: ", "))
    }
    let isQuiet = arguments.has("quiet")
    try arguments.requireNew(output)
    guard !isSameFile(input, output) else {
        throw Failure.problem("\(escaped(output)): is the source model; write to another file")
    }

    let start = ContinuousClock.now
    var progress = Console.Progress()
    defer { progress.clear() }
    do {
        try TinyConversion.convert(
            input, to: output, weights: weights, predictors: arguments.string("predictors")
        ) { event in
            if !isQuiet { show(event, &progress) }
            return Signals.pending == 0
        }
    } catch {
        throw Failure(error)
    }
    progress.clear()
    guard !isQuiet else { return }
    try Console.writeLine(
        "\(escaped(output)): \(readable(bytes: size(of: output))) from \(readable(bytes: size(of: input))) "
            + "in \(fixed(seconds(since: start), 1)) s")
}

private func show(_ event: ConversionEvent, _ progress: inout Console.Progress) {
    switch event {
    case .note(let text):
        progress.clear()
        Console.note("note: \(escaped(text))")
    case .tensor(let name, let number, let count):
        let filled = number * 24 / count
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled)
        progress.show("[\(bar)] \(number)/\(count) \(escaped(name, limit: 30))")
    }
}

private func status(_ path: String) -> stat? {
    var info = stat()
    return stat(path, &info) == 0 ? info : nil
}

private func isSameFile(_ a: String, _ b: String) -> Bool {
    guard let a = status(a), let b = status(b) else { return false }
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino
}

/// The size of a file, or of the weights in a folder.
private func size(of path: String) -> Int {
    if isDirectory(path) {
        return (try? SafetensorsModel(path: path).shards.reduce(0) { $0 + $1.file.size }) ?? 0
    }
    return status(path).map { Int($0.st_size) } ?? 0
}
