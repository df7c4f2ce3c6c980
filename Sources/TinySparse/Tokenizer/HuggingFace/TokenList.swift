// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The tokens of a `tokenizer.json`, numbered as the Hugging Face tokenizers library numbers them.
struct TokenList {
    /// By id; nil where there is none.
    private(set) var texts: [[UInt8]?]
    private(set) var types: [Int32]
    /// What is odd about the file.
    private(set) var notes: [String] = []
    private var numbers = ByteStringTable()
    /// The id of each text of `numbers`.
    private var ids: [Int] = []
    /// How many texts the vocabulary has; those of added tokens come later.
    private var vocabularyCount = 0
    private var highestAdded: Int?
    /// Which of `numbers` were added.
    private var addedNumbers: Set<Int> = []

    /// - Throws: `TokenizerError` for an id that is not one of a dense vocabulary, or that two tokens have.
    init(
        vocabulary: [(key: String, value: JSON)], added: [JSON], fallsBackToBytes: Bool
    ) throws(TokenizerError) {
        // Ids are dense: none can exceed the number of entries.
        let limit = vocabulary.count + added.count
        texts = Array(repeating: nil, count: limit)
        types = Array(repeating: TokenizerSpec.TokenType.unused.rawValue, count: limit)
        for (text, id) in vocabulary {
            let bytes = Array(text.utf8)
            let isByte = fallsBackToBytes && bytes.count == 6 && bytes.starts(with: "<0x".utf8)
            let id = id.integer ?? -1
            guard 0 <= id, id < limit else { throw .idOutOfRange(field: "token", id: Int(clamping: id)) }
            try set(Int(id), bytes, isByte ? .byte : .normal)
        }
        vocabularyCount = numbers.count
    }

    /// The tokens without a gap at the end; within, a gap is filled as GGUF converters do.
    var tokens: [[UInt8]] {
        let count = (texts.lastIndex { $0 != nil } ?? -1) + 1
        return texts.prefix(count).enumerated().map { $1 ?? Array("[PAD\($0)]".utf8) }
    }

    /// Of a text that is named twice the last id counts, as in the library.
    private mutating func set(_ id: Int, _ text: [UInt8], _ type: TokenizerSpec.TokenType) throws(TokenizerError) {
        let (number, isNew) = numbers.insert(text)
        if isNew {
            ids.append(id)
        } else if ids[number] != id {
            notes.append(
                "tokenizer.json: the vocabulary has \(Self.quoted(text)) twice, with the ids \(ids[number]) and \(id); "
                    + "the last one is used")
            texts[ids[number]] = nil
            types[ids[number]] = TokenizerSpec.TokenType.unused.rawValue
            ids[number] = id
        }
        if let old = texts[id], old != text { throw .malformedFile("tokenizer.json: two tokens with id \(id)") }
        texts[id] = text
        types[id] = type.rawValue
    }

    /// Adds an entry of `added_tokens`, and returns what `TokenizerSpec.settings` says of it; nil for one that the
    /// library ignores, because it is empty or repeated.
    mutating func add(_ json: JSON) throws(TokenizerError) -> JSON? {
        guard let content = json["content"]?.string else {
            throw .malformedFile("tokenizer.json: added token without text")
        }
        let text = Array(content.utf8)
        let known = numbers.find(text)
        if text.isEmpty { return nil }
        if let known, addedNumbers.contains(known) { return nil }
        // The library numbers what is not in the vocabulary in order, whatever the file states.
        let next = highestAdded.map { $0 >= vocabularyCount ? $0 + 1 : vocabularyCount } ?? vocabularyCount
        let id = known.map { ids[$0] } ?? next
        if let stated = json["id"]?.integer, stated != id {
            notes.append(
                "tokenizer.json: the added token \(Self.quoted(text)) has the id \(stated), but the tokenizers library "
                    + "gives it \(id), which is used")
        }
        try set(id, text, json["special"]?.bool == true ? .control : .userDefined)
        highestAdded = max(highestAdded ?? 0, id)
        addedNumbers.insert(known ?? numbers.count - 1)
        let flags = ["special", "single_word", "lstrip", "rstrip", "normalized"].filter { json[$0]?.bool == true }
        let settings: [(key: String, value: JSON)] = (flags + (known == nil ? [] : ["in_vocab"])).map {
            ($0, .bool(true))
        }
        return .object([("id", .integer(Int64(id)))] + settings)
    }

    private static func quoted(_ text: [UInt8]) -> String { "'\(printable(String(decoding: text, as: UTF8.self)))'" }
}
