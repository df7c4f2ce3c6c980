/// A parsed command line.
struct Arguments {
    /// What is no option, in order.
    private(set) var operands: [String] = []
    private(set) var wantsHelp = false
    private var values: [String: [String]] = [:]
    private let command: Command

    /// Parses what follows the command's name.
    /// - Throws: `Failure.usage`.
    init(_ words: some Sequence<String>, for command: Command) throws(Failure) {
        self.command = command
        let options = command.options + [Command.help]
        var words = Array(words)[...]
        while let word = words.popFirst() {
            if word == "--" {
                operands += words
                break
            }
            // "-" stands for standard input.
            guard word.hasPrefix("-"), word != "-" else {
                operands.append(word)
                continue
            }
            let (option, attached) = try Self.find(word, in: options)
            if option.value == nil {
                guard attached == nil else { throw .usage("--\(option.long) takes no value") }
                values[option.long, default: []].append("")
            } else {
                guard let value = attached ?? words.popFirst() else {
                    throw .usage("\(word) needs a value: --\(option.long) \(option.value!)")
                }
                values[option.long, default: []].append(value)
            }
        }
        wantsHelp = has("help")
    }

    /// The option that a word names, and the value that is part of the word: `--top-k=5`, `-n5`.
    private static func find(_ word: String, in options: [Option]) throws(Failure) -> (Option, String?) {
        if word.hasPrefix("--") {
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if let option = options.first(where: { $0.long == name }) {
                return (option, parts.count == 2 ? String(parts[1]) : nil)
            }
            throw .usage(unknown("--" + name, among: options.map { "--" + $0.long }))
        }
        // `-threads` is a long option with a dash too few, and not `-t hreads`.
        if word.count > 2, options.contains(where: { $0.long == word.dropFirst() }) {
            throw .usage("unknown option \(word); did you mean -\(word)?")
        }
        let letter = word.dropFirst().first!
        if let option = options.first(where: { $0.short == letter }) {
            let rest = String(word.dropFirst(2))
            if rest.isEmpty { return (option, nil) }
            if option.value != nil { return (option, rest.hasPrefix("=") ? String(rest.dropFirst()) : rest) }
        }
        throw .usage(unknown(word, among: options.map { "--" + $0.long }))
    }

    private static func unknown(_ word: String, among names: [String]) -> String {
        "unknown option \(escaped(word, limit: 80))" + suggestion(for: word, among: names)
    }

    // MARK: Values

    func has(_ name: String) -> Bool { values[name] != nil }

    /// The value given last.
    func string(_ name: String) -> String? { values[name]?.last }

    /// All values, in order.
    func strings(_ name: String) -> [String] { values[name] ?? [] }

    /// An integer in `range`, or nil if the option was not given.
    func integer<T: FixedWidthInteger>(_ name: String, in range: ClosedRange<T>) throws(Failure) -> T? {
        guard let text = string(name) else { return nil }
        guard let value = T(text), range.contains(value) else {
            let (least, most) = (range.lowerBound, range.upperBound)
            let limits = most == T.max ? "from \(least)" : "\(least) to \(most)"
            throw .usage("--\(name) \(escaped(text, limit: 80)): a whole number, \(limits), is needed")
        }
        return value
    }

    /// A number in `range`, or nil if the option was not given.
    func number(_ name: String, in range: ClosedRange<Float>) throws(Failure) -> Float? {
        guard let text = string(name) else { return nil }
        guard let value = Float(text), range.contains(value) else {
            let isOpen = range.lowerBound == .leastNonzeroMagnitude
            throw .usage(
                "--\(name) \(escaped(text, limit: 80)): a number \(isOpen ? "above" : "from") "
                    + "\(fixed(Double(range.lowerBound), 0)) to \(fixed(Double(range.upperBound), 0)) is needed")
        }
        return value
    }

    /// A number of bytes, perhaps with K, M or G after it, or nil if the option was not given.
    func bytes(_ name: String) throws(Failure) -> Int? {
        guard let text = string(name) else { return nil }
        let shift = ["K": 10, "M": 20, "G": 30][text.suffix(1).uppercased()]
        guard let number = Int(shift == nil ? text[...] : text.dropLast()), 0..<(1 << 33) ~= number else {
            throw .usage("--\(name) \(escaped(text, limit: 80)): a number of bytes is needed, as in 64M; K, M and G are possible")
        }
        return number << (shift ?? 0)
    }

    /// Refuses more operands than a command takes.
    func limitOperands(to count: Int, hint: String = "") throws(Failure) {
        guard operands.count > count else { return }
        throw .usage("unexpected argument \"\(escaped(operands[count], limit: 80))\"\(hint)")
    }

    /// The model and what follows it, for commands called `[MODEL] REST`: with -m, all is rest.
    func modelAndRest(_ rest: Int, hint: String) throws(Failure) -> (model: String?, rest: [String]) {
        if let model = string("model") {
            try limitOperands(to: rest, hint: hint)
            return (model, operands)
        }
        try limitOperands(to: rest + 1, hint: hint)
        return operands.count > rest ? (operands[0], Array(operands.dropFirst())) : (nil, operands)
    }
}

// MARK: Suggestions

/// `; did you mean NAME?` for the nearest of some names, or nothing if none is near.
func suggestion(for word: String, among names: [String]) -> String {
    let bare = word.drop { $0 == "-" }
    guard !bare.isEmpty, bare.count <= 40 else { return "" }
    let ranked = names.map { name in
        let other = name.drop { $0 == "-" }
        // What begins the same is meant even if much is missing.
        return (name, other.hasPrefix(bare) ? 1 : editDistance(Array(bare), Array(other)))
    }
    guard let best = ranked.min(by: { $0.1 < $1.1 }), best.1 <= max(2, bare.count / 3) else { return "" }
    return "; did you mean \(best.0)?"
}

/// How many letters have to be put in, taken out, changed or swapped with a neighbor.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
    var rows = [Array(0...b.count)]
    for i in 0..<a.count {
        var row = [i + 1]
        for j in 0..<b.count {
            var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, rows[i - 1][j - 1] + 1) }
            row.append(cost)
        }
        rows.append(row)
    }
    return rows[a.count][b.count]
}
