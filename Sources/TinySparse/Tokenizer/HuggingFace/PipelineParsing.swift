// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reading the sections of a `tokenizer.json` that a pipeline is made of.
extension HuggingFacePipeline {
    /// The longest text that is searched for, in bytes: every place of a text is compared with it.
    private static let maximumPattern = 256

    private static var tooLong: TokenizerError {
        .malformedFile("a pattern of more than \(maximumPattern) bytes is not supported")
    }

    /// Refuses what would make a short text fill the memory, or take long; no tokenizer in use comes near.
    static func checkGrowth(_ normalizers: [Normalizer], _ steps: [PreTokenizerStep]) throws(TokenizerError) {
        var growth = 1
        for step in normalizers {
            switch step {
            case .replace(let pattern, let content):
                guard pattern.count <= maximumPattern else { throw tooLong }
                growth *= max(1, min(1000, content.count / pattern.count))
            case .prepend(let prefix): growth *= prefix.count > 64 ? 1000 : 1
            case .replaceMatches(_, let content): growth *= max(1, min(1000, content.count))
            default: break
            }
            guard growth <= 64 else { throw .malformedFile("the normalizer makes texts more than 64 times as long") }
        }
        for case .split(.string(let pattern), _, _) in steps where pattern.count > maximumPattern { throw tooLong }
        guard normalizers.count <= 16, steps.count <= 8 else {
            throw .malformedFile("more than 16 normalizers or 8 pre-tokenizers in a row are not supported")
        }
    }

    /// A token id below `count`.
    /// - Throws: `idOutOfRange` naming `field` for anything else.
    static func id(_ json: JSON?, count: Int, _ field: String) throws(TokenizerError) -> Int32 {
        guard let id = json?.integer, 0 <= id, id < count else {
            throw .idOutOfRange(field: field, id: Int(clamping: json?.integer ?? -1))
        }
        return Int32(id)
    }

    /// An entry of `added_tokens`, as `TokenizerSpec.settings` has it.
    /// - Throws: `TokenizerError` for an id outside the vocabulary, and for a text that is not UTF-8.
    static func addedToken(
        _ json: JSON, _ vocabulary: ByteStringTable
    ) throws(TokenizerError) -> AddedTokens.Token {
        let id = try id(json["id"], count: vocabulary.count, "added token")
        let flag = { (name: String) in json[name]?.bool ?? false }
        let text = Array(vocabulary.string(Int(id)))
        // It may not cut a character of the text in two.
        guard String(validating: text, as: UTF8.self) != nil else {
            throw .malformedFile("the added token \(id) is not UTF-8; the file is damaged")
        }
        return AddedTokens.Token(
            id: id, text: text, isSpecial: flag("special"),
            isSingleWord: flag("single_word"), stripsLeft: flag("lstrip"), stripsRight: flag("rstrip"),
            isNormalized: flag("normalized"))
    }

    /// What the section `model` says besides the vocabulary.
    /// - Throws: `malformedFile` for an unknown token that does not exist.
    static func options(_ json: JSON?, _ vocabulary: ByteStringTable) throws(TokenizerError) -> RuleBPE.Options {
        var options = RuleBPE.Options()
        let flag = { (name: String) in json?[name]?.bool ?? false }
        options.fusesUnknown = flag("fuse_unk")
        options.fallsBackToBytes = flag("byte_fallback")
        options.ignoresMerges = flag("ignore_merges")
        if let unknown = json?["unk_token"]?.string {
            guard let id = vocabulary.find(Array(unknown.utf8)) else {
                throw .malformedFile(
                    "the unknown token '\(printable(unknown))' is not in the vocabulary; the file is damaged")
            }
            options.unknown = Int32(id)
        }
        return options
    }

    /// The tokens that a post-processor puts before and after a text.
    static func surroundings(
        _ json: JSON?, count: Int
    ) throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32]) {
        guard let json, !json.isNull else { return ([], []) }
        let type = json["type"]?.string ?? "unnamed"
        switch type {
        case "ByteLevel": return ([], [])
        case "Sequence":
            var (prefix, suffix): ([Int32], [Int32]) = ([], [])
            for step in json["processors"]?.array ?? [] {
                let inner = try surroundings(step, count: count)
                guard (inner.prefix + inner.suffix).isEmpty || (prefix + suffix).isEmpty else {
                    throw .malformedFile(
                        "two steps of the post-processor add tokens; the library cannot run them either")
                }
                (prefix, suffix) = (inner.prefix + prefix, suffix + inner.suffix)
            }
            return (prefix, suffix)
        case "RobertaProcessing", "BertProcessing":
            return (
                [try id(json["cls"]?.array?.last, count: count, "post-processor token")],
                [try id(json["sep"]?.array?.last, count: count, "post-processor token")]
            )
        case "TemplateProcessing": return try template(json, count: count)
        default:
            throw .unsupportedSetting(
                section: "post_processor", value: type,
                supported: "ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing, and a Sequence of these")
        }
    }

    private static func template(
        _ json: JSON, count: Int
    ) throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32]) {
        var (prefix, suffix): ([Int32], [Int32]) = ([], [])
        var isAfterText = false
        for piece in json["single"]?.array ?? [] {
            if let name = piece["SpecialToken"]?["id"]?.string {
                for entry in json["special_tokens"]?[name]?["ids"]?.array ?? [.null] {
                    let id = try id(entry, count: count, "post-processor token \(printable(name))")
                    if isAfterText { suffix.append(id) } else { prefix.append(id) }
                }
            } else if piece["Sequence"]?["id"]?.string == "A", !isAfterText {
                isAfterText = true
            } else {
                throw .malformedFile("the post-processor's template is not one text among special tokens")
            }
        }
        guard isAfterText else { throw .malformedFile("the post-processor's template leaves the text out") }
        return (prefix, suffix)
    }
}
