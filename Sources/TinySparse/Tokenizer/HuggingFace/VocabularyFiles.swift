// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reading the `vocab.json` and `merges.txt` of older byte-level BPE tokenizers.
extension TokenizerSpec {
    /// Makes a vocabulary of the two files and, if there is one, the `tokenizer_config.json` beside them, which names the
    /// class: GPT2Tokenizer, the default, or Qwen2Tokenizer. The result is what transformers makes of the folder.
    /// - Throws: `TokenizerError`; for another class `unsupportedModel`.
    package init(vocabulary: [UInt8], merges: [UInt8], config: [UInt8]?) throws(TokenizerError) {
        let vocabulary = try Self.parse(vocabulary, "vocab.json")
        let config = try config.map { (bytes) throws(TokenizerError) in try Self.parse(bytes, "tokenizer_config.json") }
        let name = config?["tokenizer_class"]?.string ?? "GPT2Tokenizer"
        let prefixesSpace = config?["add_prefix_space"]?.bool ?? false
        let sections: [(key: String, value: JSON)]
        switch name {
        case "GPT2Tokenizer", "GPT2TokenizerFast":
            sections = [("pre_tokenizer", Self.byteLevel(prefixesSpace: prefixesSpace, usesExpression: true))]
        case "Qwen2Tokenizer", "Qwen2TokenizerFast":
            sections = [
                ("normalizer", .object([("type", .string("NFC"))])),
                ("pre_tokenizer", Self.qwen2(Self.byteLevel(prefixesSpace: prefixesSpace, usesExpression: false))),
            ]
        default:
            throw .unsupportedModel("\(name) of vocab.json and merges.txt")
        }
        guard config?["add_bos_token"]?.bool != true else {
            throw .unsupportedModel("\(name) with add_bos_token, of vocab.json and merges.txt")
        }
        let model = JSON.object([
            ("type", .string("BPE")), ("vocab", vocabulary), ("merges", .array(try Self.lines(ofMerges: merges))),
        ])
        let decoder = JSON.object([("type", .string("ByteLevel"))])
        // What the class has where the configuration is silent.
        let text = "<|endoftext|>"
        let isGPT2 = name.hasPrefix("GPT2")
        var completed = config?.object ?? []
        for key in ["unk_token", "eos_token", isGPT2 ? "bos_token" : "pad_token"] where config?[key] == nil {
            completed.append((key, .string(text)))
        }
        try self.init(
            root: .object([("model", model), ("decoder", decoder)] + sections), config: .object(completed))
    }

    private static func byteLevel(prefixesSpace: Bool, usesExpression: Bool) -> JSON {
        .object([
            ("type", .string("ByteLevel")), ("add_prefix_space", .bool(prefixesSpace)),
            ("use_regex", .bool(usesExpression)),
        ])
    }

    private static func qwen2(_ last: JSON) -> JSON {
        let expression =
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        let split = JSON.object([
            ("type", .string("Split")), ("pattern", .object([("Regex", .string(expression))])),
            ("behavior", .string("Isolated")), ("invert", .bool(false)),
        ])
        return .object([("type", .string("Sequence")), ("pretokenizers", .array([split, last]))])
    }

    /// The rules of a `merges.txt`: one a line, but for a first line with the version.
    private static func lines(ofMerges bytes: [UInt8]) throws(TokenizerError) -> [JSON] {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .malformedFile("merges.txt: is not UTF-8 text")
        }
        var rules: [JSON] = []
        for line in text.split(separator: "\n") where !(rules.isEmpty && line.hasPrefix("#version")) {
            let rule = line.last == "\r" ? line.dropLast() : line
            if !rule.isEmpty { rules.append(.string(String(rule))) }
        }
        return rules
    }
}
