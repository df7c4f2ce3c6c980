// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What the files beside a `tokenizer.model` say of it.
extension TokenizerSpec {
    /// Reads a `tokenizer_config.json`: added tokens, which tokens begin and end a text, and the chat template.
    /// - Parameter added: the content of an `added_tokens.json`, texts and their ids.
    /// - Throws: `malformedFile` for a file that is damaged or contradicts the model.
    package mutating func readConfig(_ config: [UInt8]?, added: [UInt8]?) throws(TokenizerError) {
        let config = try config.map { (bytes) throws(TokenizerError) in try Self.parse(bytes, "tokenizer_config.json") }
        let added = try added.map { (bytes) throws(TokenizerError) in try Self.parse(bytes, "added_tokens.json") }
        var entries: [(id: Int64, text: String, isSpecial: Bool)] = []
        for (text, id) in added?.object ?? [] { entries.append((id.integer ?? -1, text, false)) }
        for (id, token) in config?["added_tokens_decoder"]?.object ?? [] {
            let entry = (Int64(id) ?? -1, token["content"]?.string ?? "", token["special"]?.bool ?? false)
            entries.removeAll { $0.id == entry.0 }
            entries.append(entry)
        }
        for entry in entries.sorted(by: { $0.id < $1.id }) { try add(entry.id, entry.text, entry.isSpecial) }
        readTexts(config)
        addBOS = config?["add_bos_token"]?.bool
        addEOS = config?["add_eos_token"]?.bool
    }

    private mutating func add(_ id: Int64, _ text: String, _ isSpecial: Bool) throws(TokenizerError) {
        let bytes = Array(text.utf8)
        // Numbers are dense: a gap of many would be a mistake.
        guard 0 <= id, id < tokens.count + 1024, !bytes.isEmpty else {
            throw .malformedFile(
                "the added token '\(printable(text))' has the id \(id), which cannot be; get the file again")
        }
        let type = isSpecial ? TokenType.control : .userDefined
        while tokens.count <= id {
            tokens.append(Array("[PAD\(tokens.count)]".utf8))
            scores?.append(0)
            types?.append(TokenType.unused.rawValue)
        }
        let old = types?[Int(id)]
        guard tokens[Int(id)] == bytes || old == TokenType.unused.rawValue else {
            throw .malformedFile(
                "token \(id) is '\(printable(String(decoding: tokens[Int(id)], as: UTF8.self)))' in tokenizer.model, but "
                    + "'\(printable(text))' was added; get the files again")
        }
        tokens[Int(id)] = bytes
        if old != TokenType.unknown.rawValue { types?[Int(id)] = type.rawValue }
    }

    private mutating func readTexts(_ config: JSON?) {
        func id(_ key: String) -> Int32? {
            guard let text = config?[key]?.string ?? config?[key]?["content"]?.string else { return nil }
            return tokens.firstIndex(of: Array(text.utf8)).map { Int32($0) }
        }
        bos = id("bos_token") ?? bos
        eos = id("eos_token") ?? eos
        padding = id("pad_token") ?? padding
        readTemplate(config)
    }
}
