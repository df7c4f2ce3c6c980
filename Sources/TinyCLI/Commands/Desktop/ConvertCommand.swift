import TinyConversion
import TinyFormats
import TinyPlatform
import TinySupport

extension Command {
    static let convert = Command(
        name: "convert", summary: "make a native model file of a model",
        operands: "IN OUT",
        details: """
            IN is a .gguf file, or a Hugging Face folder with config.json, safetensors and tokenizer.json. OUT
            is a native file: int8 or 4-bit weights that are mapped into memory as they are, with checksums.
            Nothing is left behind if a conversion fails or is interrupted. 4 bits a weight are a third less to
            read for each token and cost a little quality; weights that are Q4_0 or Q4_1 are kept as they are.
            """,
        options: [
            Option("weights", value: "FORMAT", "int8 (default); w4: 4 bits, output matrix int8; w4-all: all 4 bits"),
            Option("force", "f", "write over OUT if it is there"),
            Option("quiet", "q", "no progress, no notes, no report"),
        ],
        examples: [
            ("SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2.gguf", "a file of llama.cpp"),
            ("./SmolLM2-135M models/smollm2.gguf", "a folder of Hugging Face"),
        ],
        run: convertCommand)
}

private func convertCommand(_ arguments: Arguments) throws {
    try arguments.limitOperands(to: 2)
    guard arguments.operands.count == 2 else { throw Failure.usage("give the model to read and the file to write") }
    let (input, output) = (arguments.operands[0], arguments.operands[1])
    let name = arguments.string("weights") ?? WeightFormat.int8.rawValue
    guard let weights = WeightFormat(rawValue: name) else {
        throw Failure.usage("--weights \(escaped(name, limit: 80)): there are " + WeightFormat.allCases.map(\.rawValue).joined(separator: ", "))
    }
    let isQuiet = arguments.has("quiet")
    if fileExists(output) {
        guard arguments.has("force") else {
            throw Failure.problem("\(escaped(output)): is there already; --force writes over it")
        }
        guard !isSameFile(input, output) else {
            throw Failure.problem("\(escaped(output)): is the model to read; write to another file")
        }
    }

    let start = ContinuousClock.now
    var progress = Console.Progress()
    defer { progress.clear() }
    try TinyConversion.convert(input, to: output, weights: weights) { event in
        try Signals.check()
        guard !isQuiet else { return }
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
    progress.clear()
    guard !isQuiet else { return }
    try Console.writeLine(
        "\(escaped(output)): \(readable(bytes: size(of: output))) from \(readable(bytes: size(of: input))) "
            + "in \(fixed(seconds(since: start), 1)) s")
}

private func status(_ path: String) -> stat? {
    var info = stat()
    return stat(path, &info) == 0 ? info : nil
}

private func isSameFile(_ a: String, _ b: String) -> Bool {
    guard let a = status(a), let b = status(b) else { return false }
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino
}

/// Bytes of a file, or of the weights in a folder.
private func size(of path: String) -> Int {
    if isDirectory(path) {
        return (try? SafetensorsModel(path: path).shards.reduce(0) { $0 + $1.file.size }) ?? 0
    }
    return status(path).map { Int($0.st_size) } ?? 0
}
