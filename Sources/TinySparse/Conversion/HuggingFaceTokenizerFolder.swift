// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// The vocabulary in a directory as the Hugging Face hub serves it.
extension TokenizerSpec {
    /// The vocabulary in `tokenizer.json`, and what the files beside it say of it.
    init(directory: String) throws(FormatError) {
        func read(_ name: String) throws(FormatError) -> [UInt8] {
            let file = try MappedFile(path: directory + "/" + name)
            guard file.size <= 1 << 27 else {
                throw FormatError(
                    .unsupported, path: file.path, "has \(file.size) bytes; 128 MiB are supported")
            }
            return file.contents
        }
        func optional(_ name: String) throws(FormatError) -> [UInt8]? {
            fileExists(directory + "/" + name) ? try read(name) : nil
        }
        let config = try optional("tokenizer_config.json")
        let name = try Self.tokenizerFile(directory)
        let path = directory + "/" + name
        let bytes = try read(name)
        let merges = name == "vocab.json" ? try read("merges.txt") : []
        let added = try optional("added_tokens.json")
        var spec = try Self.naming(path) { () throws(TokenizerError) -> TokenizerSpec in
            switch name {
            case "tokenizer.model":
                var spec = try TokenizerSpec(sentencePieceModel: bytes)
                try spec.readConfig(config, added: added)
                return spec
            case "vocab.json":
                return try TokenizerSpec(vocabulary: bytes, merges: merges, config: config)
            default:
                return try TokenizerSpec(huggingFaceTokenizerJSON: bytes, config: config)
            }
        }
        // As in transformers, the file of its own counts.
        if let template = try optional("chat_template.jinja") {
            guard let text = String(validating: template, as: UTF8.self) else {
                throw FormatError(.malformed, path: directory + "/chat_template.jinja", "is not UTF-8 text")
            }
            spec.chatTemplate = text
        }
        for name in ["config.json", "generation_config.json"] where fileExists(directory + "/" + name) {
            try Self.readIDs(of: directory + "/" + name, into: &spec)
        }
        _ = try Self.naming(path) { [spec] () throws(TokenizerError) in try Tokenizer(spec) }
        self = spec
    }

    /// What `body` returns, its errors naming the file.
    static func naming<T>(
        _ path: String, _ body: () throws(TokenizerError) -> T
    ) throws(FormatError) -> T {
        do { return try body() } catch { throw FormatError(.unsupported, path: path, "\(error)") }
    }

    /// The name of the file with the vocabulary.
    /// - Throws: an error that says what to do with the tokenizer that is there instead.
    private static func tokenizerFile(_ directory: String) throws(FormatError) -> String {
        func exists(_ name: String) -> Bool { fileExists(directory + "/" + name) }
        if exists("tokenizer.json") { return "tokenizer.json" }
        if exists("tokenizer.model") { return "tokenizer.model" }
        if exists("vocab.json"), exists("merges.txt") { return "vocab.json" }
        let others = [
            ("vocab.json", "the vocabulary of a kind of tokenizer"), ("vocab.txt", "the vocabulary of BERT"),
            ("tekken.json", "a tokenizer of mistral-common"), ("tiktoken.model", "a tokenizer of tiktoken"),
        ]
        guard let (name, kind) = others.first(where: { exists($0.0) }) else { return "tokenizer.json" }
        throw FormatError(
            .missing, path: directory + "/tokenizer.json",
            "is missing; there is \(name), \(kind), which cannot be read; write tokenizer.json in Python: "
                + "transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)")
    }

    /// Which tokens begin and end a text, by the ids in a configuration; all that end one count.
    private static func readIDs(of path: String, into spec: inout TokenizerSpec) throws(FormatError) {
        let json = try JSON.read(path: path, limit: 1 << 20)
        func ids(_ key: String) -> [Int32] {
            let values = json[key]?.array ?? json[key].map { [$0] } ?? []
            return values.compactMap { value in
                if value.isNull { return nil }
                if let id = value.integer, 0 <= id, id < spec.tokens.count { return Int32(id) }
                let file = path.split(separator: "/").last ?? ""
                spec.notes.append(
                    "\(file): \(key) \(printable(value.compact)) is no token of the vocabulary; it is ignored")
                return nil
            }
        }
        let (begins, ends) = (ids("bos_token_id"), ids("eos_token_id"))
        spec.bos = spec.bos ?? begins.first
        spec.eos = spec.eos ?? ends.first
        for id in ends where id != spec.eos && !spec.endOfGeneration.contains(id) { spec.endOfGeneration.append(id) }
    }
}
