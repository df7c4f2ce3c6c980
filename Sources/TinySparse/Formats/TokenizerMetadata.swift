// SPDX-License-Identifier: Apache-2.0

// A vocabulary in GGUF metadata, keys `tokenizer.ggml.*`.
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import TinySupport
import TinyTokenizer

extension TokenizerSpec {
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
        self.init(
            model: try required("model").string(in: file),
            pre: try optional("pre")?.string(in: file) ?? "default",
            tokens: try required("tokens").byteStrings(in: file),
            scores: try optional("scores")?.floats(in: file),
            types: try optional("token_type")?.int32s(in: file),
            merges: try optional("merges")?.byteStrings(in: file) ?? [],
            bos: try id("bos"), eos: try id("eos"), unknown: try id("unknown"),
            padding: try id("padding"), eot: try id("eot"),
            addBOS: try optional("add_bos_token")?.bool(in: file),
            addEOS: try optional("add_eos_token")?.bool(in: file),
            addSpacePrefix: try optional("add_space_prefix")?.bool(in: file),
            removeExtraWhitespace: try optional("remove_extra_whitespaces")?.bool(in: file) ?? false,
            chatTemplate: try gguf.optionalString("tokenizer.chat_template"))
    }

    /// Writes the vocabulary as metadata from which `init(gguf:)` reads the same.
    package func write(to writer: inout GGUFWriter) {
        func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
        writer.add(key("model"), model)
        writer.add(key("pre"), pre)
        writer.add(key("tokens"), tokens)
        if let scores { writer.add(key("scores"), scores) }
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
        if let chatTemplate { writer.add("tokenizer.chat_template", chatTemplate) }
    }
}
