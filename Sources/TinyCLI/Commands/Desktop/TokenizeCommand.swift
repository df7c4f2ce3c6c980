import TinySupport
import TinyTokenizer

extension Command {
    static let tokenize = Command(
        name: "tokenize", summary: "show the tokens of a text",
        operands: "[MODEL] \"TEXT\"",
        details: """
            Prints the token ids of a text, or with --decode the text of token ids. The weights stay untouched.
            The text "-" is read from standard input.
            """,
        options: [
            .model,
            Option("file", "f", value: "FILE", "the text is in a file"),
            Option("pieces", "one token a line: its id and its text"),
            Option("ids", "print [1, 2, 3], as llama-tokenize does"),
            Option("count", "print how many tokens there are"),
            .json,
            Option("no-special", "no token for the beginning and the end of a text"),
            Option("parse-special", "the names of control tokens in the text are these tokens"),
            Option("decode", value: "IDS", "print the text of ids: 1,2,3 or \"1 2 3\""),
        ],
        examples: [
            ("\"Once upon a time\"", "ids"),
            ("-m smollm2.gguf --pieces \"Once upon a time\"", "what they stand for"),
            ("-m smollm2.gguf --count -f book.txt", "the length of a book"),
            ("-m smollm2.gguf --decode \"504, 3575, 282\"", "and back"),
        ],
        run: tokenizeCommand)
}

private func tokenizeCommand(_ arguments: Arguments) throws {
    let needsText = !arguments.has("file") && !arguments.has("decode")
    let (model, rest) = try arguments.modelAndRest(needsText ? 1 : 0, hint: "; put the text in quotes")
    guard !needsText || rest.count == 1 else { throw Failure.usage("the text is missing") }
    guard !(arguments.has("file") && arguments.has("decode")) else {
        throw Failure.usage("--file and --decode exclude each other")
    }
    let forms = ["pieces", "ids", "count", "json"].filter(arguments.has)
    guard forms.count < 2 else { throw Failure.usage("--\(forms[0]) and --\(forms[1]) exclude each other") }
    let decoded = try arguments.string("decode").map(parseIDs)
    let path = try ModelLocation.find(model)

    if let decoded {
        let tokenizer = try Tokenizer(TokenizerSpec(path: path))
        if let bad = decoded.first(where: { $0 < 0 || Int($0) >= tokenizer.vocabularySize }) {
            throw Failure.problem("token \(bad) is not in the vocabulary of \(tokenizer.vocabularySize) tokens")
        }
        return try print(decoded, tokenizer, arguments)
    }
    let text =
        if let file = arguments.string("file") { try readAll(file) } else {
            rest[0] == "-" ? try readAll("-") : Array(rest[0].utf8)
        }
    let tokenizer = try Tokenizer(TokenizerSpec(path: path))
    let ids = tokenizer.encode(
        text, addSpecial: !arguments.has("no-special"), parseSpecial: arguments.has("parse-special"))
    try print(ids, tokenizer, arguments)
}

private func parseIDs(_ text: String) throws(Failure) -> [Int32] {
    var ids: [Int32] = []
    for word in text.split(whereSeparator: { ", []\n\t".contains($0) }) {
        guard let id = Int32(word) else {
            throw .usage("--decode: \"\(escaped(String(word), limit: 80))\" is no token id")
        }
        ids.append(id)
    }
    return ids
}

private func print(_ ids: [Int32], _ tokenizer: Tokenizer, _ arguments: Arguments) throws {
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
            ("text", .string(tokenizer.decode(ids))),
        ]
        try Console.writeLine(JSON.object(report).text())
    } else if arguments.has("decode") {
        try Console.writeGenerated(tokenizer.decode(ids) + "\n")
    } else {
        try Console.writeLine(ids.map(String.init).joined(separator: " "))
    }
}

/// The bytes of a token between quotes; those that are no text as \xNN, for a token may be part of a character.
private func quotedPiece(_ bytes: [UInt8]) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return "\"" + escaped(text) + "\"" }
    let digits = Array("0123456789abcdef")
    return "\"" + bytes.map { byte in
        0x20..<0x7F ~= byte ? String(UnicodeScalar(byte)) : "\\x\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
    }.joined() + "\""
}
