import TinySparse

extension Command {
    static let verify = Command(
        name: "verify", summary: "compare a model's numbers on this machine with a reference",
        operands: "[MODEL] REFERENCE",
        details: """
            Reads tokens and compares every number bit by bit with what another machine, or the independent
            reference in Python, computed: the logits, and the hidden state after every layer. A reference is
            text, a line a position: its number, the token, the hash of the logits and, if wanted, one for every
            layer. A line "# tokens 1,2,3" gives the tokens instead. --record writes such a file.
            """,
        options: Option.running + [
            Option("record", value: "TEXT", "print a reference: the numbers of this text, here"),
            Option("tokens", value: "FILE", "the tokens, for references without; numbers with commas between"),
        ],
        examples: [
            ("-m model.gguf model.reference.txt", "all bits as they should be?"),
            ("-m model.gguf --record \"Once upon a time\" > model.reference.txt", "make a reference"),
            ("-m model.gguf --kernels scalar model.reference.txt", "by other kernels"),
        ],
        run: verifyCommand)
}

private func verifyCommand(_ arguments: Arguments) throws(Failure) {
    let recorded = arguments.string("record")
    let (path, rest) = try arguments.modelAndRest(recorded == nil ? 1 : 0, hint: "")
    let options = try Session.Options(arguments)
    if let recorded {
        let model = try Model.open(path, arguments)
        let session = try Session.open(model, options)
        let ids = model.tokenizer.encode(recorded)
        for row in try hashes(of: ids, session) { try Console.writeLine(row.text) }
        return
    }
    guard let file = rest.first else { throw .usage("the reference is missing") }
    var reference = try Reference(file)
    if let tokens = arguments.string("tokens") { try reference.setTokens(readAll(tokens), file: tokens) }
    let model = try Model.open(path, arguments)
    let session = try Session.open(model, options)
    let computed = try hashes(of: reference.tokens(file), session)
    for (want, have) in zip(reference.rows, computed) {
        // Layers that the reference is silent about are not compared.
        let layers = want.layers.isEmpty || want.layers == have.layers
        guard want.logits == have.logits, layers else {
            throw .problem("\(escaped(file)): position \(have.position) differs: \(have.text) was computed")
        }
    }
    let first = reference.rows.first { !$0.layers.isEmpty }
    try Console.writeLine(
        "\(session.kernelName), \(session.threads) threads: \(computed.count) positions, logits "
            + (first == nil ? "" : "and \(first!.layers.count) layers ") + "as in the reference; last logits "
            + computed[computed.count - 1].logits)
}

/// One position of a reference.
private struct Row {
    let position: Int
    let token: Int32?
    let logits: String
    var layers: [String]

    var text: String {
        ([String(position)] + (token.map { [String($0)] } ?? []) + [logits] + layers).joined(separator: " ")
    }
}

/// Hashes of the logits and of every layer's output, position by position.
private func hashes(of ids: [Int32], _ session: Session) throws(Failure) -> [Row] {
    let width = session.model.config.dModel
    var layers: [String] = []
    session.observeLayers { layer, hidden in
        if layer >= 0 { layers.append(hash(hidden.prefix(width))) }
    }
    defer { session.observeLayers(nil) }
    var rows: [Row] = []
    for (position, id) in ids.enumerated() {
        layers = []
        try session.readInterruptibly([id])
        rows.append(Row(position: position, token: id, logits: hash(session.logits[...]), layers: layers))
    }
    guard !rows.isEmpty else { throw .problem("there are no tokens to read") }
    return rows
}

/// xxHash64 of the bits, as 16 hexadecimal digits.
private func hash(_ values: Slice<UnsafeBufferPointer<Float>>) -> String {
    let digits = String(xxHash64(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: values))), radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// A file of hashes: `POSITION TOKEN HASH [HASH ...]`, or `POSITION HASH [HASH ...]` as the reference in Python
/// prints them.
private struct Reference {
    private(set) var rows: [Row] = []
    private var listed: [Int32]?

    init(_ path: String) throws(Failure) {
        let text = String(decoding: try readAll(path), as: UTF8.self)
        for (number, line) in text.split(separator: "\n").enumerated() {
            if line.hasPrefix("# tokens ") {
                try setTokens(Array(line.dropFirst(9).utf8), file: path)
                continue
            }
            var words = line.split(separator: " ").map { String($0) }[...]
            guard !line.hasPrefix("#"), !words.isEmpty else { continue }
            // A hash is 16 digits long, a token is not.
            guard let position = words.popFirst().flatMap({ Int($0) }), position == rows.count, let next = words.first
            else { throw .problem("\(escaped(path)): line \(number + 1) is no line of a reference") }
            let token = next.utf8.count < 16 ? Int32(next) : nil
            if token != nil { words.removeFirst() }
            guard words.allSatisfy({ $0.utf8.count == 16 }), let logits = words.popFirst() else {
                throw .problem("\(escaped(path)): line \(number + 1) is no line of a reference")
            }
            rows.append(Row(position: position, token: token, logits: logits, layers: Array(words)))
        }
        guard !rows.isEmpty else { throw .problem("\(escaped(path)): is empty") }
    }

    mutating func setTokens(_ text: [UInt8], file: String) throws(Failure) {
        let words = text.split { $0 == UInt8(ascii: ",") || $0 <= UInt8(ascii: " ") }
        let ids = words.compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
        guard ids.count == words.count else { throw .problem("\(escaped(file)): the tokens are no numbers") }
        listed = ids
    }

    /// The tokens to read, one a row.
    func tokens(_ path: String) throws(Failure) -> [Int32] {
        let ids = listed ?? rows.compactMap { $0.token }
        guard ids.count == rows.count else {
            throw .problem("\(escaped(path)): has \(rows.count) positions for \(ids.count) tokens; --tokens names a file")
        }
        return ids
    }
}
