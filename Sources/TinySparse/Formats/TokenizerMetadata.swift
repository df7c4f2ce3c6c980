// SPDX-License-Identifier: Apache-2.0

// A vocabulary in GGUF metadata, keys `tokenizer.ggml.*`.
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import TinySupport
import TinyTokenizer

extension TokenizerSpec {
    // Keys of native files that GGUF does not have.
    /// Text: `settings` as JSON.
    private static let settingsKey = NativeModelFile.tokenizerKeys + "settings"
    /// Int32 array: the tokens besides `eos` and `eot` that end a generation.
    private static let endOfGenerationKey = NativeModelFile.tokenizerKeys + "end_of_generation_token_ids"

    /// Reads the vocabulary of a GGUF file. Plain data: ids and texts are
    /// checked when a tokenizer is made of it.
    /// - Throws: `FormatError` naming the key.
    package init(gguf: GGUF) throws(FormatError) {
        let file = gguf.file
        func required(_ key: String) throws(FormatError) -> GGUFEntry {
            guard let entry = gguf.entry("tokenizer.ggml.\(key)") else {
                throw gguf.missing("tokenizer.ggml.\(key)")
            }
            return entry
        }
        func optional(_ key: String) -> GGUFEntry? { gguf.entry("tokenizer.ggml.\(key)") }
        func id(_ key: String) throws(FormatError) -> Int32? {
            guard let entry = optional("\(key)_token_id") else { return nil }
            let value = try entry.integer(in: file)
            // Some converters write "none" as the largest unsigned number.
            if value == -1 || value == Int(UInt32.max) { return nil }
            guard let id = Int32(exactly: value) else {
                throw FormatError(
                    .malformed, path: file.path, item: entry.key, offset: entry.range.lowerBound,
                    "\(value) is not a token id")
            }
            return id
        }
        var ends = try gguf.entry(Self.endOfGenerationKey)?.int32s(in: file) ?? []
        // End of message: a call of a tool follows, which is not for us to make.
        if let id = try id("eom") { ends.append(id) }
        self.init(
            model: try required("model").string(in: file),
            pre: try optional("pre")?.string(in: file) ?? "default",
            tokens: try required("tokens").byteStrings(in: file),
            scores: try optional("scores")?.doubles(in: file),
            types: try optional("token_type")?.int32s(in: file),
            merges: try optional("merges")?.byteStrings(in: file) ?? [],
            bos: try id("bos"), eos: try id("eos"), unknown: try id("unknown"),
            padding: nil, eot: try id("eot"),
            endOfGeneration: ends,
            addBOS: try optional("add_bos_token")?.bool(in: file),
            addEOS: try optional("add_eos_token")?.bool(in: file),
            addSpacePrefix: try optional("add_space_prefix")?.bool(in: file),
            removeExtraWhitespace: try optional("remove_extra_whitespaces")?.bool(in: file) ?? false,
            chatTemplate: try gguf.optionalString("tokenizer.chat_template"),
            settings: try Self.settings(gguf))
        if model != "llama", let map = optional("precompiled_charsmap") {
            let bytes = try map.bytes(in: file)
            characterMap = bytes.isEmpty ? nil : bytes
        }
        // Nothing here is padded, so that a wrong id does no harm.
        guard let value = try optional("padding_token_id")?.integer(in: file), value != -1, value != UInt32.max else {
            return
        }
        if 0 <= value, value < tokens.count {
            padding = Int32(value)
        } else {
            notes.append("tokenizer.ggml.padding_token_id: \(value) is outside the vocabulary; it is not used")
        }
    }

    private static func settings(_ gguf: GGUF) throws(FormatError) -> JSON? {
        guard let text = try gguf.optionalString(settingsKey) else { return nil }
        do { return try JSON.parse(Array(text.utf8)) } catch {
            throw FormatError(.malformed, path: gguf.path, item: settingsKey, error.description)
        }
    }

    /// Writes the vocabulary as metadata from which `init(gguf:)` reads the same.
    package func write(to writer: inout GGUFWriter) {
        func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
        writer.add(key("model"), model)
        writer.add(key("pre"), pre)
        writer.add(key("tokens"), tokens)
        if let scores {
            let single = scores.map { Float($0) }
            if zip(single, scores).allSatisfy({ Double($0) == $1 }) {
                writer.add(key("scores"), single)
            } else {
                writer.add(key("scores"), scores)
            }
        }
        if let types { writer.add(key("token_type"), types) }
        if !merges.isEmpty { writer.add(key("merges"), merges) }
        let ids = [
            ("bos", bos), ("eos", eos), ("unknown", unknown), ("padding", padding), ("eot", eot),
        ]
        for case (let name, let id?) in ids where id >= 0 {
            writer.add(key("\(name)_token_id"), UInt32(id))
        }
        if let addBOS { writer.add(key("add_bos_token"), addBOS) }
        if let addEOS { writer.add(key("add_eos_token"), addEOS) }
        if let addSpacePrefix { writer.add(key("add_space_prefix"), addSpacePrefix) }
        if removeExtraWhitespace { writer.add(key("remove_extra_whitespaces"), true) }
        if let characterMap { writer.add(key("precompiled_charsmap"), characterMap) }
        if let chatTemplate { writer.add("tokenizer.chat_template", chatTemplate) }
        if let settings { writer.add(Self.settingsKey, settings.compact) }
        if !endOfGeneration.isEmpty { writer.add(Self.endOfGenerationKey, endOfGeneration) }
    }
}
