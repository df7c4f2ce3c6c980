// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyPlatform
import TinyRuntime
import TinySupport

extension Command {
    static let verify = Command(
        name: "verify", summary: "check results bit for bit against recorded ones",
        operands: "[MODEL]",
        details: """
            Runs some prompts with every kernel set of this CPU, with several numbers of threads and several sizes
            of prefill blocks, dense and with the model's predictors, and compares every token, the logits and every
            layer's output bit for bit: with the reference outputs of the model if there are any (reference/NAME.txt
            next to the model), otherwise with each other. The first difference is printed; the exit code is then 1.
            """,
        options: [
            .model,
            Option("reference", value: "FILE", "compare with this file"),
            Option("record", value: "FILE", "write the reference outputs to a file"),
            Option(
                "kernels", "k", value: "NAME",
                "all, or one of " + Kernels.names.joined(separator: ", ") + " (default: all)"),
            Option("threads", "t", value: "LIST", "numbers of worker threads, as in 1,2,3 (default: 1 and all cores)"),
            Option("blocks", value: "LIST", "sizes of prefill blocks (default: 1,7,128)"),
            Option("prompt", "p", value: "TEXT", "use this prompt; can be repeated (default: four short texts)"),
            Option("max-tokens", "n", value: "N", "tokens to generate after each prompt (default: 16)"),
            .noVerify,
        ],
        examples: [
            ("", "the default model"),
            ("--kernels scalar -t 1,2,3 models/smollm2.gguf", "without SIMD"),
            ("--record models/reference/smollm2.txt models/smollm2.gguf", "for other machines to compare with"),
        ],
        run: verifyCommand)
}

/// Prose, numbers and punctuation, other scripts, a single token.
private let defaultPrompts = [
    "Once upon a time there was a king who had three sons, and the youngest of them was called",
    "1 + 1 = 2; \"yes\", she said - and 3.14159?",
    "Größe, 雪, 🙂 and",
    "A",
]

private func verifyCommand(_ arguments: Arguments) throws(Failure) {
    let path = try ModelLocation.find(try arguments.model())
    let threads = try arguments.numbers("threads", in: 1...256) ?? Array(Set([1, availableCores])).sorted()
    let blocks = try arguments.numbers("blocks", in: 1...4096) ?? [1, 7, 128]
    let kernels = try kernelNames(arguments)
    let generated = try arguments.integer("max-tokens", in: 0...(1 << 20)) ?? 16
    let prompts = arguments.strings("prompt").isEmpty ? defaultPrompts : arguments.strings("prompt")
    try arguments.exclude("record", "reference")

    let model = try Model.open(path, arguments)
    let runs = kernels.flatMap { kernel in
        threads.flatMap { count in
            blocks.map { Session.Options(threads: count, blockSize: $0, kernels: kernel) }
        }
    }
    var reference = try arguments.has("record") ? nil : storedReference(path, model, arguments)
    let isStored = reference != nil
    if reference == nil {
        do {
            reference = try .record(
                model, prompts: prompts, writing: generated, options: runs[0], provenance: provenance(kernels[0]))
        } catch {
            throw Failure(error)
        }
    }
    let count = reference!.texts.reduce(0) { $0 + $1.positions.count }
    for options in runs {
        try Signals.check()
        if let difference = try difference(from: reference!, model, options) {
            throw .problem("\(name(options)): \(difference)")
        }
        try Console.writeLine("\(name(options)): \(count) positions, equal")
    }
    if let file = arguments.string("record") {
        try writeFile(file, reference!.description)
        try Console.writeLine("\(escaped(file)): written")
    } else if !isStored {
        try Console.writeLine("no reference outputs next to the model; the runs above agree with each other")
    }
}

/// The reference given or the one next to the model; nil if there is none.
private func storedReference(_ path: String, _ model: Model, _ arguments: Arguments) throws(Failure) -> GoldenRecord? {
    let file: String
    if let given = arguments.string("reference") {
        file = given
    } else {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let name = parts.last.map { $0.hasSuffix(".gguf") ? $0.dropLast(5) : $0 } ?? ""
        file = (parts.dropLast() + ["reference", name + ".txt"]).joined(separator: "/")
        guard access(file, R_OK) == 0 else { return nil }
    }
    let text = String(decoding: try readAll(file), as: UTF8.self)
    let reference: GoldenRecord
    do {
        reference = try GoldenRecord(parsing: text)
    } catch {
        throw .problem("\(escaped(file)): \(error.description)")
    }
    guard reference.modelHash == xxHash64(model.file.gguf.file.bytes) else {
        throw Failure.problem(
            "\(escaped(file)) is of another model than \(escaped(path)); record one with --record")
    }
    return reference
}

private func kernelNames(_ arguments: Arguments) throws(Failure) -> [String] {
    guard let name = arguments.string("kernels"), name != "all" else { return Kernels.available.map { $0.name } }
    _ = try arguments.kernels()
    return [name]
}

private func name(_ options: Session.Options) -> String {
    "\(options.kernels!), \(options.threads) thread\(options.threads == 1 ? "" : "s"), blocks of \(options.blockSize)"
}

/// A description of the first difference, or nil.
private func difference(
    from reference: GoldenRecord, _ model: Model, _ options: Session.Options
) throws(Failure) -> String? {
    do {
        guard let difference = try reference.firstDifference(model, options) else { return nil }
        return try difference.description + element(difference, model, options)
    } catch {
        throw Failure(error)
    }
}

/// The first number that differs from that of another kernel set, if there is one.
private func element(
    _ difference: GoldenRecordDifference, _ model: Model, _ options: Session.Options
) throws(RuntimeError) -> String {
    for other in Kernels.available.map({ $0.name }) where other != options.kernels {
        var others = options
        others.kernels = other
        if let (index, a, b) = try difference.firstElement(model, options, others) {
            return ", first in element \(index): \(a) here, \(b) with \(other)"
        }
    }
    return Kernels.available.count > 1 ? "; the other kernel sets compute the same as this one" : ""
}

private func provenance(_ kernels: String) -> [String] {
    var cpu = "unknown CPU"
    if let info = try? readAll("/proc/cpuinfo") {
        for line in String(decoding: info, as: UTF8.self).split(separator: "\n") where line.hasPrefix("model name") {
            cpu = line.split(separator: ":", maxSplits: 1).last.map { String($0.dropFirst()) } ?? cpu
            break
        }
    }
    var now = time(nil), date = tm()
    gmtime_r(&now, &date)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let day = "\(date.tm_year + 1900)-\(two(date.tm_mon + 1))-\(two(date.tm_mday))"
    return ["with \(Help.version), \(kernels)", "on \(cpu)", "at \(day)"]
}

extension Arguments {
    /// A comma-separated list of integers, or nil if the option was not given.
    fileprivate func numbers(_ name: String, in range: ClosedRange<Int>) throws(Failure) -> [Int]? {
        guard let text = string(name) else { return nil }
        let words = text.split(separator: ",", omittingEmptySubsequences: false)
        let numbers = words.compactMap { Int($0) }.filter(range.contains)
        guard numbers.count == words.count else {
            throw invalid(name, "a comma-separated list of integers in \(range.lowerBound)...\(range.upperBound)")
        }
        return numbers
    }
}
