// SPDX-License-Identifier: Apache-2.0

import TinyConversion
import TinySupport
import TinyTokenizer

extension Command {
    static let tokenize = Command(
        name: "tokenize", summary: "show the tokens of a text",
        operands: "[MODEL] \"TEXT\"",
        details: """
            Prints the token ids of a text, or with --decode the text of token ids. The weights are not read.
            The text "-" is read from standard input.
            """,
        options: [
            .model,
            Option("file", "f", value: "FILE", "read the text from a file"),
            Option("pieces", "print one token per line: its id and its text"),
            Option("ids", "print [1, 2, 3], as llama-tokenize does"),
            Option("count", "print the number of tokens"),
            .json,
            Option("no-special", "do not add BOS and EOS tokens"),
            Option("parse-special", "parse the names of control tokens in the text as these tokens"),
            Option("decode", value: "IDS", "print the text of ids: 1,2,3 or \"1 2 3\""),
            Option("special", "with --decode, show control tokens by their names"),
        ],
        examples: [
            ("\"Once upon a time\"", "ids"),
            ("-m smollm2.gguf --pieces \"Once upon a time\"", "with the text of each token"),
            ("-m smollm2.gguf --count -f book.txt", "the length of a book"),
            ("-m smollm2.gguf --decode \"504, 3575, 282\"", "token ids to text"),
        ],
        run: tokenizeCommand)
}

private func tokenizeCommand(_ arguments: Arguments) throws(Failure) {
    let needsText = !arguments.has("file") && !arguments.has("decode")
    var model: String?
    var operand = ""
    if needsText {
        (model, operand) = try arguments.modelAndOperand("the text", hint: "; put the text in quotes")
    } else {
        model = try arguments.model(hint: "; put the text in quotes")
    }
    try arguments.exclude("file", "decode")
    if arguments.has("special"), !arguments.has("decode") {
        throw Failure.usage("--special goes with --decode; for names in a text there is --parse-special")
    }
    let forms = ["pieces", "ids", "count", "json"].filter { arguments.has($0) }
    if forms.count > 1 { try arguments.exclude(forms[0], forms[1]) }
    let decoded = try arguments.tokenIDs("decode")
    let path = try ModelLocation.find(model)

    if let decoded {
        let tokenizer = try Tokenizer.open(path)
        if let bad = decoded.first(where: { $0 < 0 || Int($0) >= tokenizer.vocabularySize }) {
            throw Failure.problem("token \(bad) is not in the vocabulary of \(tokenizer.vocabularySize) tokens")
        }
        return try print(decoded, tokenizer, arguments)
    }
    let text =
        if let file = arguments.string("file") { try readAll(file) } else {
            operand == "-" ? try readAll("-") : Array(operand.utf8)
        }
    let tokenizer = try Tokenizer.open(path)
    let ids = tokenizer.encode(
        text, addSpecial: !arguments.has("no-special"), parseSpecial: arguments.has("parse-special"),
        isComplete: true)
    try print(ids, tokenizer, arguments)
}

extension Tokenizer {
    /// The tokenizer of a model in any format.
    /// - Throws: `Failure.problem`.
    fileprivate static func open(_ path: String) throws(Failure) -> Tokenizer {
        let spec: TokenizerSpec
        do throws(FormatError) { spec = try TokenizerSpec(path: path) } catch { throw Failure(error) }
        do throws(TokenizerError) { return try Tokenizer(spec) } catch { throw Failure(error) }
    }
}

private func print(_ ids: [Int32], _ tokenizer: Tokenizer, _ arguments: Arguments) throws(Failure) {
    func piece(_ id: Int32) -> String { String(decoding: tokenizer.piece(of: id), as: UTF8.self) }
    if arguments.has("count") {
        try Console.writeLine("\(ids.count)")
    } else if arguments.has("ids") {
        try Console.writeLine("[" + ids.map(String.init).joined(separator: ", ") + "]")
    } else if arguments.has("pieces") {
        let lines = ids.map { "\($0)".leftPadded(to: 6) + "  " + quotedPiece(tokenizer.piece(of: $0)) + "\n" }
        try Console.write(lines.joined())
    } else if arguments.has("json") {
        let report: [(key: String, value: JSON)] = [
            ("count", .number(ids.count)),
            ("ids", .array(ids.map { .integer(Int64($0)) })),
            ("pieces", .array(ids.map { .string(piece($0)) })),
            ("text", .string(tokenizer.decode(ids, skipSpecial: !arguments.has("special")))),
        ]
        try Console.writeLine(JSON.object(report).text())
    } else if arguments.has("decode") {
        try Console.writeGenerated(tokenizer.decode(ids, skipSpecial: !arguments.has("special")) + "\n")
    } else {
        try Console.writeLine(ids.map(String.init).joined(separator: " "))
    }
}

/// The bytes of a token in quotes; those of an incomplete character as \xNN.
private func quotedPiece(_ bytes: [UInt8]) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return "\"" + escaped(text) + "\"" }
    let digits = Array("0123456789abcdef")
    return "\""
        + bytes.map { byte in
            0x20..<0x7F ~= byte ? String(UnicodeScalar(byte)) : "\\x\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }.joined() + "\""
}
