// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A parsed command line.
struct Arguments {
    /// The words that are not options, in order.
    private(set) var operands: [String] = []
    private(set) var wantsHelp = false
    private var values: [String: [String]] = [:]
    private let command: Command

    /// Parses the words after the command's name.
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

    /// The option that a word names, and the value attached to it: `--top-k=5`, `-n5`.
    private static func find(_ word: String, in options: [Option]) throws(Failure) -> (Option, String?) {
        if word.hasPrefix("--") {
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if let option = options.first(where: { $0.long == name }) {
                return (option, parts.count == 2 ? String(parts[1]) : nil)
            }
            throw unknown("--" + name, among: options)
        }
        // `-threads` is a long option that lacks a dash, not `-t hreads`.
        if word.count > 2, options.contains(where: { $0.long == word.dropFirst() }) {
            throw .usage("unknown option \(word); did you mean -\(word)?")
        }
        let letter = word.dropFirst().first!
        if let option = options.first(where: { $0.short == letter }) {
            let rest = String(word.dropFirst(2))
            if rest.isEmpty { return (option, nil) }
            if option.value != nil { return (option, rest.hasPrefix("=") ? String(rest.dropFirst()) : rest) }
        }
        throw unknown(options.contains { $0.formerly.contains("-\(letter)") } ? "-\(letter)" : word, among: options)
    }

    private static func unknown(_ word: String, among options: [Option]) -> Failure {
        let hint =
            if let renamed = options.first(where: { $0.formerly.contains(word) }) {
                "; did you mean --\(renamed.long)?"
            } else {
                suggestion(for: word, among: options.map { "--" + $0.long })
            }
        return .usage("unknown option \(escaped(word, limit: 80))\(hint); a text that begins with \"-\" goes after --")
    }

    // MARK: Values

    func has(_ name: String) -> Bool { values[name] != nil }

    /// The last value given.
    func string(_ name: String) -> String? { values[name]?.last }

    /// All values, in order.
    func strings(_ name: String) -> [String] { values[name] ?? [] }

    /// A text of the command line: as it is, or with its escapes processed.
    func text(_ word: String) -> [UInt8] {
        has("escape") ? processingEscapes(Array(word.utf8)) : Array(word.utf8)
    }

    /// An integer in `range`, or nil if the option was not given.
    func integer<T: FixedWidthInteger>(_ name: String, in range: ClosedRange<T>) throws(Failure) -> T? {
        guard let text = string(name) else { return nil }
        guard let value = T(text), range.contains(value) else {
            let (least, most) = (range.lowerBound, range.upperBound)
            throw invalid(name, "an integer " + (most == T.max ? "of at least \(least)" : "in \(least)...\(most)"))
        }
        return value
    }

    /// A number in `range`, or nil if the option was not given.
    func number(_ name: String, in range: ClosedRange<Float>) throws(Failure) -> Float? {
        guard let text = string(name) else { return nil }
        guard let value = Float(text), range.contains(value) else {
            let isOpen = range.lowerBound == .leastNonzeroMagnitude
            let (least, most) = (fixed(Double(range.lowerBound), 0), fixed(Double(range.upperBound), 0))
            throw invalid(name, "a number " + (isOpen ? "above \(least) and at most \(most)" : "in \(least)...\(most)"))
        }
        return value
    }

    /// A number of bytes, optionally followed by K, M or G, or nil if the option was not given.
    func bytes(_ name: String) throws(Failure) -> Int? {
        guard let text = string(name) else { return nil }
        let shift = ["K": 10, "M": 20, "G": 30][text.suffix(1).uppercased()]
        guard let number = Int(shift == nil ? text[...] : text.dropLast()), 0..<(1 << 33) ~= number else {
            throw invalid(name, "a number of bytes such as 64M, with K, M, G or no suffix")
        }
        return number << (shift ?? 0)
    }

    /// Token ids, or nil if the option was not given.
    func tokenIDs(_ name: String) throws(Failure) -> [Int32]? {
        guard let text = string(name) else { return nil }
        var ids: [Int32] = []
        for word in text.split(whereSeparator: { ", []\n\t".contains($0) }) {
            guard let id = Int32(word) else {
                throw .usage("--\(name): \"\(escaped(String(word), limit: 80))\" is not a token id")
            }
            ids.append(id)
        }
        return ids
    }

    /// Whether an option is on or off, or nil if it was not given.
    func isOn(_ name: String) throws(Failure) -> Bool? {
        switch string(name) {
        case nil: return nil
        case "on"?: return true
        case "off"?: return false
        default: throw invalid(name, "on or off")
        }
    }

    /// The error for an option whose value is not what is expected.
    func invalid(_ name: String, _ expected: String) -> Failure {
        .usage("--\(name) \(escaped(string(name) ?? "", limit: 80)): expected \(expected)")
    }

    /// Refuses options that contradict each other.
    func exclude(_ a: String, _ b: String) throws(Failure) {
        if has(a), has(b) { throw .usage("--\(a) and --\(b) cannot be combined") }
    }

    /// Refuses to overwrite a file without --force.
    func requireNew(_ output: String) throws(Failure) {
        guard fileExists(output), !has("force") else { return }
        throw .problem("\(escaped(output)): already exists; use --force to overwrite")
    }

    // MARK: Operands

    /// Refuses more operands than a command takes.
    func limitOperands(to count: Int, hint: String = "") throws(Failure) {
        guard operands.count > count else { return }
        throw .usage("unexpected argument \"\(escaped(operands[count], limit: 80))\"\(hint)")
    }

    /// The model, by -m or as the operand of commands called `[MODEL]`; nil means the default model.
    func model(hint: String = "") throws(Failure) -> String? {
        try limitOperands(to: 1, hint: hint)
        return try model(orOperand: operands.first, hint: hint)
    }

    /// The model and the operand after it, for commands called `[MODEL] OPERAND`.
    /// - Parameter what: The operand in error messages.
    func modelAndOperand(_ what: String, hint: String = "") throws(Failure) -> (model: String?, operand: String) {
        try limitOperands(to: 2, hint: hint)
        guard let operand = operands.last else { throw .usage("\(what) is missing") }
        let model = try model(orOperand: operands.count == 2 ? operands[0] : nil, hint: hint)
        // The only operand is not the model; one that names a model file was meant to be.
        if operands.count == 1, model == nil || model == operand, operand.hasSuffix(".gguf"), fileExists(operand) {
            throw .usage("\(what) is missing; \(escaped(operand)) is a model")
        }
        return (model, operand)
    }

    private func model(orOperand operand: String?, hint: String) throws(Failure) -> String? {
        guard let option = string("model") else { return operand }
        guard let operand, operand != option else { return option }
        throw .usage(
            "two models: \(escaped(option, limit: 80)) after --model, and \(escaped(operand, limit: 80))\(hint)")
    }
}

// MARK: Suggestions

/// `; did you mean NAME?` for the closest of some names, or nothing if none is close.
func suggestion(for word: String, among names: [String]) -> String {
    let bare = word.drop { $0 == "-" }
    guard !bare.isEmpty, bare.count <= 40 else { return "" }
    let ranked = names.map { name in
        let other = name.drop { $0 == "-" }
        // A prefix counts as close however much is missing.
        return (name, other.hasPrefix(bare) ? 1 : editDistance(Array(bare), Array(other)))
    }
    guard let best = ranked.min(by: { $0.1 < $1.1 }), best.1 <= max(2, bare.count / 3) else { return "" }
    return "; did you mean \(best.0)?"
}

/// Insertions, deletions, substitutions and swaps of neighbors between two words (Damerau-Levenshtein).
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
