// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime
import TinySupport
import TinyTokenizer

extension Command {
    static let logits = Command(
        name: "logits", summary: "write the logits of every position of a text to a NumPy file",
        operands: "[MODEL] \"TEXT\"",
        details: """
            Writes an array [positions, vocabulary] of 32-bit floats: row i has the logits for the token after the
            first i + 1. Every logit is exact, also in models with a screen. Standard error says which token ids were
            used, with the BOS and EOS tokens that the model adds to a text. The text "-" is read from standard input.
            """,
        options: Option.running.filter { $0.long != LMHeadScreenOption.name } + [
            Option("output", "o", value: "OUT", "the .npy file to write, or - for standard output"),
            .force,
            Option("file", "f", value: "FILE", "read the text from a file"),
            Option("tokens", value: "IDS", "these token ids and no text, nothing added: 1,2,3 or \"1 2 3\""),
            Option("no-special", "do not add BOS and EOS tokens"),
            Option("parse-special", "parse the names of control tokens in the text as these tokens"),
            Option("print-tokens", "print the token ids, for --tokens or Python: 1,2,3"),
        ],
        examples: [
            ("-o logits.npy \"Once upon a time\"", "numpy.load(\"logits.npy\") reads it"),
            ("-m smollm2.gguf --tokens 504,3575,282 -o logits.npy", "for ids of another tokenizer"),
            ("-m smollm2.gguf -f book.txt -o - | python3 check.py", "to another program"),
        ],
        run: logitsCommand)
}

private func logitsCommand(_ arguments: Arguments) throws(Failure) {
    let (given, input) = try LogitsInput.parse(arguments)
    guard let output = arguments.string("output") else { throw Failure.usage("--output OUT is missing") }
    if output == "-" {
        guard !arguments.has("print-tokens") else {
            throw Failure.usage("--print-tokens and -o - cannot be combined: both use standard output")
        }
        guard !Console.outputIsTerminal else {
            throw Failure.usage("-o -: standard output is a terminal; write to a file or a program")
        }
    }
    var options = try Session.Options(arguments)
    options.screensHead = false
    if output != "-" { try arguments.requireNew(output) }

    let model = try Model.open(given, arguments)
    let ids = try input.ids(model, arguments)
    guard ids.count <= model.config.contextLength else {
        throw Failure.problem(
            "\(ids.count) tokens; \(escaped(model.config.name)) reads at most \(model.config.contextLength)")
    }
    options.context = ids.count
    let session = try Session.open(model, options)
    let shown = ids.prefix(32).map(String.init).joined(separator: ",") + (ids.count > 32 ? ",..." : "")
    Console.note("\(ids.count) \(ids.count == 1 ? "token" : "tokens"): \(shown)")
    if arguments.has("print-tokens") { try Console.writeLine(ids.map(String.init).joined(separator: ",")) }
    try session.writeLogits(of: ids, to: output)
}

/// What the logits are of.
private enum LogitsInput {
    case text([UInt8])
    case ids([Int32])

    /// The model that was named, and the input.
    static func parse(_ arguments: Arguments) throws(Failure) -> (model: String?, LogitsInput) {
        let hint = "; put the text in quotes"
        try arguments.exclude("file", "tokens")
        for option in ["no-special", "parse-special"] { try arguments.exclude("tokens", option) }
        if let ids = try arguments.tokenIDs("tokens") {
            guard !ids.isEmpty else { throw arguments.invalid("tokens", "token ids such as 1,2,3") }
            return (try arguments.model(hint: hint), .ids(ids))
        }
        if let file = arguments.string("file") {
            let model = try arguments.model(hint: hint)
            return (model, .text(try readAll(file)))
        }
        let (model, text) = try arguments.modelAndOperand("the text", hint: hint)
        return (model, .text(text == "-" ? try readAll("-") : Array(text.utf8)))
    }

    /// - Throws: `Failure.problem` for a text without tokens; BOS and EOS alone say nothing about it.
    func ids(_ model: Model, _ arguments: Arguments) throws(Failure) -> [Int32] {
        switch self {
        case .ids(let ids): return ids
        case .text(let text):
            guard !text.isEmpty else { throw .problem("the text is empty; give a text or --tokens IDS") }
            let ids = model.tokenizer.encode(
                text, addSpecial: !arguments.has("no-special"), parseSpecial: arguments.has("parse-special"),
                isComplete: true)
            guard !ids.isEmpty else { throw .problem("the text has no tokens; give another or --tokens IDS") }
            return ids
        }
    }
}

extension Session {
    /// Writes `[ids.count, vocabulary]` logits as a NumPy file, or to standard output for "-", block by block.
    /// - Throws: `Failure`; no file is left then.
    fileprivate func writeLogits(of ids: [Int32], to path: String) throws(Failure) {
        let array = try NumPyFile(rows: ids.count, columns: model.config.vocabularySize, path: path)
        var progress = Console.Progress()
        defer { progress.clear() }
        var failure: Failure?
        do throws(RuntimeError) {
            try evaluateBlocks(ids, logitsFrom: 0) { position, rows in
                do throws(Failure) { try array.write(rows) } catch { failure = error }
                progress.show("position \(position)/\(ids.count)")
            } while: {
                failure == nil && Signals.pending == 0
            }
        } catch {
            throw Failure(error)
        }
        if let failure { throw failure }
        try Signals.check()
        try array.finish()
    }
}
