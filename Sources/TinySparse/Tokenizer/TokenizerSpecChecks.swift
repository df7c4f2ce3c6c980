// SPDX-License-Identifier: Apache-2.0

/// The checks that every vocabulary must pass.
extension TokenizerSpec {
    /// The token texts, numbered by id. As in llama.cpp, an empty text is named "[EMPTY_id]", and of tokens that have
    /// the same text the last is the one that text becomes.
    func vocabularyTable() throws(TokenizerError) -> ByteStringTable {
        guard !tokens.isEmpty, tokens.count < Int(Int32.max) / 4 else {
            throw .badTokenCount(tokens.count)
        }
        var table = ByteStringTable(capacity: tokens.count)
        for (id, token) in tokens.enumerated() {
            guard token.count <= Tokenizer.maximumTokenLength else {
                throw .tokenTooLong(id: id, bytes: token.count)
            }
            table.append(token.isEmpty ? Array("[EMPTY_\(id)]".utf8) : token)
        }
        return table
    }

    /// A type for each token; unknown numbers count as undefined.
    func tokenTypes() throws(TokenizerError) -> [TokenType] {
        guard let types else { return Array(repeating: .normal, count: tokens.count) }
        guard types.count == tokens.count else {
            throw .countMismatch(field: "token types", expected: tokens.count, found: types.count)
        }
        return types.map { TokenType(rawValue: $0) ?? .undefined }
    }

    /// The scores, all numbers.
    func checkedScores() throws(TokenizerError) -> [Double] {
        guard let scores else { throw .missing(field: "scores") }
        guard scores.count == tokens.count else {
            throw .countMismatch(field: "scores", expected: tokens.count, found: scores.count)
        }
        if let id = scores.firstIndex(where: { $0.isNaN }) { throw .badScore(id: id) }
        return scores
    }

    func checkIDs() throws(TokenizerError) {
        let fields =
            [
                ("BOS", bos), ("EOS", eos), ("unknown token", unknown), ("end of turn", eot),
            ] + endOfGeneration.map { ("end of generation", $0) }
        for (field, id) in fields {
            if let id, id < 0 || Int(id) >= tokens.count {
                throw .idOutOfRange(field: field, id: Int(id))
            }
        }
    }
}
