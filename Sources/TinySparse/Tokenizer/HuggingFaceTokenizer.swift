// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reading the `tokenizer.json` of the Hugging Face tokenizers library.
extension TokenizerSpec {
    /// The expressions of `Split` pre-tokenizers, and the names that GGUF gives them.
    private static let splitExpressions: [(expression: String, name: String)] = {
        let contractions = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)"#
        let rest = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        let words = #"|[^\r\n\p{L}\p{N}]?\p{L}+"#
        return [
            (contractions + words + #"|\p{N}{1,3}"# + rest, "llama-bpe"),
            (contractions + words + #"|\p{N}"# + rest, "qwen2"),
        ]
    }()

    /// Makes a vocabulary of a `tokenizer.json` and, if there is one, the `tokenizer_config.json`
    /// beside it.
    ///
    /// Two kinds are understood: byte-level BPE as in GPT-2, SmolLM, Llama 3 and Qwen 2, and
    /// SentencePiece-style BPE with byte fallback as in Llama 2. Linear in the size of the files.
    /// - Throws: `TokenizerError.malformedFile`, or an error that names the kind found if it is
    ///   another.
    package init(huggingFaceTokenizerJSON json: [UInt8], config: [UInt8]? = nil)
        throws(TokenizerError)
    {
        let root = try Self.parse(json, "tokenizer.json")
        let config = try config.map { (bytes) throws(TokenizerError) in
            try Self.parse(bytes, "tokenizer_config.json")
        }
        guard let model = root["model"] else { throw .malformedFile("tokenizer.json: no model") }
        // Old files do not name the type of a BPE model.
        let type = model["type"]?.string ?? (model["merges"] != nil ? "BPE" : "unnamed")
        guard type == "BPE" else { throw .unsupportedModel(type) }
        for option in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
            guard let value = model[option], !value.isNull, value.string != "", value.double != 0
            else { continue }
            throw .unsupportedModel("BPE with \(option)")
        }
        let merges = try Self.merges(model["merges"])
        let byteFallback = model["byte_fallback"]?.bool ?? false
        if byteFallback {
            self.init(model: "llama", tokens: [])
            addSpacePrefix = try Self.spacePrefix(root)
        } else {
            self.init(
                model: "gpt2", pre: try Self.preTokenizerName(root["pre_tokenizer"]), tokens: [])
            self.merges = merges.map { $0.left + [UInt8(ascii: " ")] + $0.right }
        }
        try readTokens(model["vocab"], added: root["added_tokens"], byteFallback: byteFallback)
        if byteFallback { scores = Self.scores(tokens: tokens, merges: merges) }
        unknown = id(of: model["unk_token"])
        readSpecialTokens(postProcessor: root["post_processor"], config: config)
    }

    private static func parse(_ bytes: [UInt8], _ name: String) throws(TokenizerError) -> JSON {
        do { return try JSON.parse(bytes) } catch { throw .malformedFile("\(name): \(error)") }
    }

    // MARK: - Kinds

    /// The GGUF name of a pre-tokenizer.
    private static func preTokenizerName(_ json: JSON?) throws(TokenizerError) -> String {
        guard let json, !json.isNull else { throw .unsupportedPreTokenizer("none") }
        let steps = json["type"]?.string == "Sequence" ? json["pretokenizers"]?.array ?? [] : [json]
        let names = steps.map { $0["type"]?.string ?? "unnamed" }
        let found = names.joined(separator: " + ")
        guard let last = steps.last, names.last == "ByteLevel" else {
            throw .unsupportedPreTokenizer(found)
        }
        guard last["add_prefix_space"]?.bool != true else {
            throw .unsupportedPreTokenizer("\(found) with a prefix space")
        }
        let usesExpression = last["use_regex"]?.bool ?? true
        switch (names.dropLast().joined(separator: " + "), usesExpression) {
        case ("", true): return "gpt-2"
        case ("Digits", true) where steps[0]["individual_digits"]?.bool == true: return "smollm"
        case ("Split", false):
            let expression = steps[0]["pattern"]?["Regex"]?.string ?? "no expression"
            guard let known = splitExpressions.first(where: { $0.expression == expression }) else {
                throw .unsupportedPreTokenizer(expression)
            }
            return known.name
        default: throw .unsupportedPreTokenizer(found)
        }
    }

    /// Whether a SentencePiece-style tokenizer puts a space before the text.
    private static func spacePrefix(_ root: JSON) throws(TokenizerError) -> Bool {
        if let metaspace = root["pre_tokenizer"], !metaspace.isNull {
            guard metaspace["type"]?.string == "Metaspace" else {
                throw .unsupportedPreTokenizer(metaspace["type"]?.string ?? "unnamed")
            }
            if let scheme = metaspace["prepend_scheme"]?.string { return scheme != "never" }
            return metaspace["add_prefix_space"]?.bool ?? true
        }
        guard let normalizer = root["normalizer"], !normalizer.isNull else { return false }
        let steps = normalizer["normalizers"]?.array ?? [normalizer]
        var prepends = false
        for step in steps {
            switch step["type"]?.string {
            case "Prepend": prepends = true
            case "Replace": break
            case let other: throw .unsupportedPreTokenizer("normalizer \(other ?? "unnamed")")
            }
        }
        return prepends
    }

    // MARK: - Lists

    /// The merge rules, written "left right" or, by newer versions, as pairs.
    private static func merges(_ json: JSON?) throws(TokenizerError) -> [(
        left: [UInt8], right: [UInt8]
    )] {
        guard let list = json?.array else { throw .missing(field: "merges") }
        var merges: [(left: [UInt8], right: [UInt8])] = []
        merges.reserveCapacity(list.count)
        for (index, entry) in list.enumerated() {
            if let pair = entry.array, pair.count == 2, let left = pair[0].string,
                let right = pair[1].string
            {
                merges.append((Array(left.utf8), Array(right.utf8)))
            } else if let text = entry.string.map({ Array($0.utf8) }),
                let space = text.dropFirst().firstIndex(of: UInt8(ascii: " "))
            {
                merges.append((Array(text[..<space]), Array(text[(space + 1)...])))
            } else {
                throw .malformedMerge(index)
            }
        }
        return merges
    }

    private mutating func readTokens(_ vocabulary: JSON?, added: JSON?, byteFallback: Bool)
        throws(TokenizerError)
    {
        guard let members = vocabulary?.object else { throw .missing(field: "vocab") }
        let added = added?.array ?? []
        // Ids are dense: none can exceed the number of entries.
        let limit = members.count + added.count
        var texts = [[UInt8]?](repeating: nil, count: limit)
        var types = [Int32](repeating: TokenType.unused.rawValue, count: limit)
        var count = 0
        func set(_ id: Int64?, _ text: [UInt8], _ type: TokenType) throws(TokenizerError) {
            guard let id, id >= 0, id < Int64(limit) else {
                throw .idOutOfRange(field: "token", id: Int(clamping: id ?? -1))
            }
            if let old = texts[Int(id)], old != text {
                throw .malformedFile("tokenizer.json: two tokens with id \(id)")
            }
            texts[Int(id)] = text
            types[Int(id)] = type.rawValue
            count = max(count, Int(id) + 1)
        }
        for (text, id) in members {
            let bytes = Array(text.utf8)
            let isByte = byteFallback && bytes.count == 6 && bytes.starts(with: "<0x".utf8)
            try set(id.integer, bytes, isByte ? .byte : .normal)
        }
        for token in added {
            guard let content = token["content"]?.string else {
                throw .malformedFile("tokenizer.json: added token without text")
            }
            try set(
                token["id"]?.integer, Array(content.utf8),
                token["special"]?.bool == true ? .control : .userDefined)
        }
        // A gap is filled as GGUF converters do.
        tokens = texts.prefix(count).enumerated().map { $1 ?? Array("[PAD\($0)]".utf8) }
        self.types = Array(types.prefix(count))
    }

    /// Scores that order tokens as the merge rules do: the earlier the first rule that makes a
    /// token, the higher.
    private static func scores(tokens: [[UInt8]], merges: [(left: [UInt8], right: [UInt8])])
        -> [Float]
    {
        var ranks: [[UInt8]: Int] = [:]
        for (rank, merge) in merges.enumerated() {
            let text = merge.left + merge.right
            if ranks[text] == nil { ranks[text] = rank }
        }
        return tokens.map { -Float(ranks[$0] ?? merges.count) }
    }

    // MARK: - Special tokens

    private func id(of json: JSON?) -> Int32? {
        // Either the text itself, or an object that holds it.
        guard let text = json?.string ?? json?["content"]?.string else { return nil }
        return tokens.firstIndex(of: Array(text.utf8)).map { Int32($0) }
    }

    private mutating func readSpecialTokens(postProcessor: JSON?, config: JSON?) {
        bos = id(of: config?["bos_token"])
        eos = id(of: config?["eos_token"])
        padding = id(of: config?["pad_token"])
        unknown = unknown ?? id(of: config?["unk_token"])
        // Either the source itself, or a list of named ones.
        let templates = config?["chat_template"]
        let named = templates?.array?.first { $0["name"]?.string == "default" }
        chatTemplate = templates?.string ?? named?["template"]?.string
        let processors = postProcessor?["processors"]?.array ?? postProcessor.map { [$0] } ?? []
        let single =
            processors.first { $0["type"]?.string == "TemplateProcessing" }?["single"]?.array ?? []
        let textIndex = single.firstIndex { $0["Sequence"] != nil } ?? single.count
        let names = single.map { $0["SpecialToken"]?["id"] }
        let before = names.prefix(textIndex).compactMap { id(of: $0) }.first
        let after = names.dropFirst(textIndex).compactMap { id(of: $0) }.last
        bos = bos ?? before
        eos = eos ?? after
        addBOS = config?["add_bos_token"]?.bool ?? (before != nil && before == bos)
        addEOS = config?["add_eos_token"]?.bool ?? (after != nil && after == eos)
    }
}
