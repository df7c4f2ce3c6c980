// SPDX-License-Identifier: Apache-2.0

import TinyConversion
import TinyFormats
import TinySupport

extension Command {
    static let inspect = Command(
        name: "inspect", summary: "describe a model file",
        operands: "[MODEL]",
        details: """
            Shows the architecture, sizes and the tokenizer of a native file, a .gguf file or a Hugging Face
            folder, also of models that cannot be run. The weights are not read.
            """,
        options: [
            .model,
            Option("tensors", "list the tensors, too"),
            Option("metadata", "list the metadata, too"),
            Option("verify", "check the checksums of a native file"),
            .json,
        ],
        examples: [
            ("smollm2.gguf", "a summary"),
            ("--tensors --metadata smollm2.gguf", "everything"),
            ("--verify models/smollm2.gguf", "is the file intact?"),
        ],
        run: inspectCommand)
}

private func inspectCommand(_ arguments: Arguments) throws(Failure) {
    let path = try ModelLocation.find(try arguments.model())
    let contents: ModelContents
    do throws(FormatError) { contents = try ModelContents(path: path) } catch { throw Failure(error) }
    let isNative = GGUF.nativeModel(at: path) != nil
    if arguments.has("verify") {
        guard isNative else {
            throw Failure.problem(
                "\(escaped(path)): only native files have checksums; make one with tinysparse convert")
        }
        do throws(FormatError) { _ = try NativeModelFile(path: path, verify: true) } catch { throw Failure(error) }
    }
    let report = InspectionReport(
        path: path, contents: contents, isNative: isNative, isVerified: arguments.has("verify"),
        config: Result { () throws(FormatError) in try ModelConfig(path: path) },
        tokenizer: Result { () throws(FormatError) in try TokenizerFacts(path: path) })
    let (tensors, metadata) = (arguments.has("tensors"), arguments.has("metadata"))
    if arguments.has("json") {
        try Console.writeLine(report.json(tensors: tensors, metadata: metadata).text(depth: 2))
    } else {
        try Console.write(report.text(tensors: tensors, metadata: metadata))
    }
}
