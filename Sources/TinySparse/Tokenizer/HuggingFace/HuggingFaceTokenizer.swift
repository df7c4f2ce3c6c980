// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reading the `tokenizer.json` of the Hugging Face tokenizers library.
extension TokenizerSpec {
    /// Makes a vocabulary of a `tokenizer.json` and, if there is one, the `tokenizer_config.json` beside it.
    ///
    /// BPE and Unigram models are understood. What the file says besides tokens and merges is kept in `settings`, and
    /// checked when a `Tokenizer` is made. As in transformers, `tokenizer.json` alone says how a text is encoded, but for the added
    /// tokens. Linear in the size of the files.
    /// - Throws: `TokenizerError.malformedFile`, or an error that names the kind of model found if it is another.
    package init(huggingFaceTokenizerJSON json: [UInt8], config: [UInt8]? = nil) throws(TokenizerError) {
        let root = try Self.parse(json, "tokenizer.json")
        let config = try config.map { (bytes) throws(TokenizerError) in
            try Self.parse(bytes, "tokenizer_config.json")
        }
        try self.init(root: root, config: config)
    }

    /// The same of files that have been parsed.
    init(root: JSON, config: JSON?) throws(TokenizerError) {
        guard let model = root["model"] else { throw .malformedFile("tokenizer.json: no model") }
        // Old files do not name the type of a BPE model.
        let type = Self.modelType(model)
        try Self.requireUnderstood(model, type)
        guard config?["split_special_tokens"]?.bool != true else {
            throw .malformedFile(
                "tokenizer_config.json: split_special_tokens is not supported; without it special tokens are recognized"
            )
        }
        let merges = type == "BPE" ? try Self.merges(model["merges"]) : []
        self.init(model: Self.huggingFace, tokens: [], merges: merges)
        let (vocabulary, ownScores) = try Self.vocabulary(model, type)
        let (added, missing) = Self.addedTokens(root["added_tokens"]?.array ?? [], config, vocabulary)
        var list = try TokenList(
            vocabulary: vocabulary, added: added, fallsBackToBytes: model["byte_fallback"]?.bool ?? false)
        var addedSettings: [JSON] = []
        for token in added {
            if let settings = try list.add(token) { addedSettings.append(settings) }
        }
        tokens = list.tokens
        types = Array(list.types.prefix(tokens.count))
        scores = ownScores.map { ($0 + Array(repeating: 0, count: tokens.count)).prefix(tokens.count).map { $0 } }
        notes = list.notes + missing
        let sections = ["normalizer", "pre_tokenizer", "post_processor", "decoder"].compactMap { key in
            root[key].map { (key: key, value: $0) }
        }
        let options = ["type", "unk_token", "unk_id", "fuse_unk", "byte_fallback", "ignore_merges"].compactMap { key in
            model[key].map { (key: key, value: $0) }
        }
        settings = .object([("added_tokens", .array(addedSettings)), ("model", .object(options))] + sections)
        readSpecialTokens(config: config, unknownToken: model["unk_token"])
        if type == "Unigram", let id = model["unk_id"]?.integer, 0 <= id, id < tokens.count { unknown = Int32(id) }
        try noteContradictions(root, config: config)
    }

    static func parse(_ bytes: [UInt8], _ name: String) throws(TokenizerError) -> JSON {
        do { return try JSON.parse(bytes) } catch { throw .malformedFile("\(name): \(error)") }
    }

    // MARK: - Lists

    /// The kind of model; old files do not name it.
    static func modelType(_ model: JSON) -> String {
        if let type = model["type"]?.string { return type }
        return model["merges"] != nil ? "BPE" : model["unk_id"] != nil ? "Unigram" : "unnamed"
    }

    private static func requireUnderstood(_ model: JSON, _ type: String) throws(TokenizerError) {
        guard type == "BPE" || type == "Unigram" else { throw .unsupportedModel(type) }
        for option in ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "alpha", "nbest_size"] {
            guard let value = model[option], !value.isNull, value.string != "", value.double != 0 else { continue }
            throw .unsupportedModel("\(type) with \(option)")
        }
    }

    /// The tokens and their ids; of a Unigram model also their scores.
    private static func vocabulary(
        _ model: JSON, _ type: String
    ) throws(TokenizerError) -> (tokens: [(key: String, value: JSON)], scores: [Double]?) {
        if type == "BPE" {
            guard let vocabulary = model["vocab"]?.object else { throw .missing(field: "vocab") }
            return (vocabulary, nil)
        }
        guard let list = model["vocab"]?.array else { throw .missing(field: "vocab") }
        guard model["unk_id"]?.integer != nil else { throw .missing(field: "unk_id") }
        var (tokens, scores): ([(key: String, value: JSON)], [Double]) = ([], [])
        for (id, entry) in list.enumerated() {
            guard let pair = entry.array, pair.count == 2, let text = pair[0].string, let score = pair[1].double else {
                throw .malformedFile("tokenizer.json: token \(id) is not a text and a score")
            }
            tokens.append((text, .integer(Int64(id))))
            scores.append(score)
        }
        return (tokens, scores)
    }

    /// The merge rules "left right", written so or, by newer versions, as pairs.
    private static func merges(_ json: JSON?) throws(TokenizerError) -> [[UInt8]] {
        guard let list = json?.array else { throw .missing(field: "merges") }
        var merges: [[UInt8]] = []
        merges.reserveCapacity(list.count)
        for (index, entry) in list.enumerated() {
            if let pair = entry.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string {
                // A rule is cut at its first space, but for one at its start.
                guard !left.utf8.dropFirst().contains(UInt8(ascii: " ")) else {
                    throw .unsupportedModel("BPE with a space inside the tokens of merge rule \(index)")
                }
                merges.append(Array(left.utf8) + [UInt8(ascii: " ")] + Array(right.utf8))
            } else if let text = entry.string {
                merges.append(Array(text.utf8))
            } else {
                throw .malformedMerge(index)
            }
        }
        return merges
    }

    // MARK: - Special tokens

    /// The added tokens of `tokenizer.json`, and those that transformers adds because `tokenizer_config.json` names them;
    /// of a token in both, the latter's flags count.
    private static func addedTokens(
        _ list: [JSON], _ config: JSON?, _ vocabulary: [(key: String, value: JSON)]
    ) -> (added: [JSON], notes: [String]) {
        var (added, notes) = ([JSON](), [String]())
        var positions: [[UInt8]: Int] = [:]
        func append(_ text: String, _ token: JSON) {
            added.append(token)
            if positions[Array(text.utf8)] == nil { positions[Array(text.utf8)] = added.count - 1 }
        }
        func isAdded(_ text: String) -> Bool { positions[Array(text.utf8)] != nil }
        func special(_ text: String) -> JSON { .object([("content", .string(text)), ("special", .bool(true))]) }
        for token in list { append(token["content"]?.string ?? "", token) }
        let decoder = (config?["added_tokens_decoder"]?.object ?? []).compactMap { entry in
            Int64(entry.key).map { (id: $0, token: entry.value) }
        }
        for (id, token) in decoder.sorted(by: { $0.id < $1.id }) {
            guard let text = token["content"]?.string else { continue }
            let known = positions[Array(text.utf8)]
            let id = known.flatMap { added[$0]["id"] } ?? .integer(id)
            let entry = JSON.object((token.object ?? []).filter { $0.key != "id" } + [("id", id)])
            if let known { added[known] = entry } else { append(text, entry) }
        }
        func text(_ json: JSON?) -> String? { json?.string ?? json?["content"]?.string }
        for name in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
            guard let text = text(config?["\(name)_token"]), !isAdded(text) else { continue }
            if vocabulary.contains(where: { $0.key.utf8.elementsEqual(text.utf8) }) {
                append(text, special(text))
            } else {
                notes.append(
                    "tokenizer_config.json: the \(name)_token '\(printable(text))' is not in tokenizer.json; it is not used"
                )
            }
        }
        for name in ["additional_special_tokens", "extra_special_tokens"] {
            let entries = config?[name]?.array ?? config?[name]?.object?.map { $0.value } ?? []
            for case let text? in entries.map(text) where !isAdded(text) { append(text, special(text)) }
        }
        return (added, notes)
    }

    private func id(of json: JSON?) -> Int32? {
        // Either the text itself, or an object that holds it.
        guard let text = json?.string ?? json?["content"]?.string else { return nil }
        return tokens.firstIndex(of: Array(text.utf8)).map { Int32($0) }
    }

    private mutating func readSpecialTokens(config: JSON?, unknownToken: JSON?) {
        bos = id(of: config?["bos_token"])
        eos = id(of: config?["eos_token"])
        padding = id(of: config?["pad_token"])
        unknown = id(of: unknownToken) ?? id(of: config?["unk_token"])
        readTemplate(config)
    }

    /// Reads the chat template of a `tokenizer_config.json`: either the source itself, or a list of named ones.
    mutating func readTemplate(_ config: JSON?) {
        let templates = config?["chat_template"]
        let named = templates?.array?.first { $0["name"]?.string == "default" }
        chatTemplate = templates?.string ?? named?["template"]?.string
    }

    /// Notes where `tokenizer_config.json` says something else than `tokenizer.json`, which transformers follows.
    private mutating func noteContradictions(_ root: JSON, config: JSON?) throws(TokenizerError) {
        let (prefix, suffix) = try HuggingFacePipeline.surroundings(root["post_processor"], count: tokens.count)
        var facts = [
            ("add_bos_token", "begins texts with the beginning-of-sequence token", bos.map(prefix.contains)),
            ("add_eos_token", "ends texts with the end-of-sequence token", eos.map(suffix.contains)),
        ]
        for case .byteLevel(let prefixSpace, _) in try PreTokenizerStep.steps(root["pre_tokenizer"]) {
            facts.append(("add_prefix_space", "puts a space before texts", prefixSpace))
        }
        for (key, what, fact) in facts {
            guard let stated = config?[key]?.bool, let fact, stated != fact else { continue }
            notes.append(
                "tokenizer_config.json: \(key) is \(stated), but tokenizer.json \(fact ? what : "does not say so"), "
                    + "which is followed, as in transformers")
        }
    }
}
