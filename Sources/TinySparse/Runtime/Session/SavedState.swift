// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// What a session has read, kept in a file: tokens, and their keys and values, so that nobody has to read them again.
///
///     try session.prefill(prompt)
///     try session.save(to: "story.state")
///     ...
///     let saved = try SavedState(path: "story.state", of: model)      // in another process, or on another machine
///     let count = try session.restore(saved, for: prompt)
///     try session.prefill(prompt[count...])
///
/// The session goes on with the bits that it would have without the file. Nothing in the file depends on kernels, threads
/// or block size. It belongs to one model, numeric contract and type of cache, and to no other.
///
/// The file is little-endian: a header (SavedStateHeader.swift), the tokens (Int32), and their xxHash64, seeded by that of the
/// header. Then records (SavedStateRecord.swift): for every piece of 64 positions, the last one shorter, one of each layer.
public struct SavedState {
    /// The file.
    public var path: String { file.path }
    /// The tokens whose keys and values the file has.
    public let tokens: [Int32]

    private let file: InputFile
    private let header: SavedStateHeader
    private let tokensHash: UInt64

    /// Positions of a piece.
    private static let piece = 64

    /// Reads a file's header and tokens; keys and values are read by `Session.restore`.
    /// - Throws: `FormatError` for what is no such file, is damaged, or belongs to another model or numeric contract.
    public init(path: String, of model: Model) throws(FormatError) {
        file = try InputFile(path: path, advice: "name a file")
        header = try SavedStateHeader(file)
        try header.check(model, path)
        let start = SavedStateHeader.size, end = start + 4 * header.count
        guard file.size >= end + 8 else {
            throw SavedStateHeader.problem(.truncated, path, "tokens", "the file ends among them")
        }
        let bytes = try file.bytes(start..<end + 8)
        tokensHash = bytes.withUnsafeBytes { [seed = header.hash] in
            xxHash64(UnsafeRawBufferPointer(rebasing: $0.dropLast(8)), seed: seed)
        }
        guard bytes.number(at: end - start) == tokensHash else {
            throw SavedStateHeader.problem(.checksum, path, "tokens", "are damaged")
        }
        tokens = (0..<header.count).map { bytes.number(at: 4 * $0) }
        let size = model.config.vocabularySize
        if let bad = tokens.first(where: { $0 < 0 || Int($0) >= size }) {
            throw SavedStateHeader.problem(.malformed, path, "tokens", "\(bad) is none of a vocabulary of \(size)")
        }
    }

    /// How many tokens a prompt and this file have in common at their beginnings.
    public func common(with prompt: [Int32]) -> Int { tokens.commonPrefix(with: prompt) }

    /// Reads the keys and values of the first `count` tokens.
    /// - Throws: `FormatError` for a file of another type of cache, or one that is damaged; some positions of the session's
    ///   cache are overwritten then.
    fileprivate func read(_ count: Int, into session: Session) throws(FormatError) {
        try header.check(session, path)
        let cache = session.cache
        let record = SavedStateRecord(cache, positions: Self.piece, seed: tokensHash)
        var offset = SavedStateHeader.size + 4 * tokens.count + 8
        let (full, rest) = tokens.count.quotientAndRemainder(dividingBy: Self.piece)
        let size = offset + cache.pages.layers * (full * record.size(Self.piece) + (rest > 0 ? record.size(rest) : 0))
        guard file.size == size else {
            throw SavedStateHeader.problem(
                .truncated, path, "keys and values", "the file has \(file.size) bytes instead of \(size)")
        }
        for start in stride(from: 0, to: count, by: Self.piece) {
            let stored = min(Self.piece, tokens.count - start)
            for layer in 0..<cache.pages.layers {
                try file.read(into: record.bytes(stored), at: offset)
                try record.take(layer, start..<min(start + Self.piece, count), stored: stored, path)
                offset += record.size(stored)
            }
        }
    }

    /// Writes the first `count` tokens of a session.
    /// - Throws: `FormatError` if that is not possible; what the file was before it then still is.
    fileprivate static func write(_ count: Int, of session: Session, to path: String) throws(FormatError) {
        let file = try AtomicFile(path: path)
        let header = SavedStateHeader(session, count: count)
        var head = header.encoded
        for token in session.tokens[..<count] { head.append(number: token) }
        let hash = head.withUnsafeBytes {
            xxHash64(UnsafeRawBufferPointer(rebasing: $0[SavedStateHeader.size...]), seed: header.hash)
        }
        head.append(number: hash)
        try head.withUnsafeBufferPointer { head throws(FormatError) in
            try file.write(UnsafeRawBufferPointer(head), at: 0)
        }
        let record = SavedStateRecord(session.cache, positions: piece, seed: hash)
        var offset = head.count
        for start in stride(from: 0, to: count, by: piece) {
            let positions = start..<min(start + piece, count)
            for layer in 0..<session.cache.pages.layers {
                try record.fill(layer, positions, path)
                try file.write(UnsafeRawBufferPointer(record.bytes(positions.count)), at: offset)
                offset += record.size(positions.count)
            }
        }
        try file.commit()
    }
}

extension Session {
    /// Writes what has been read to a file, which appears under its name when it is complete; one that was there is replaced.
    ///
    /// With `Options.sparsity`, tokens from the first decoded one on are left out: their keys and values are those of some
    /// neurons only, and another session would not have them.
    /// - Returns: how many tokens were written.
    /// - Complexity: O(tokens); memory: one record of the file.
    /// - Throws: `FormatError` if the file cannot be written.
    @discardableResult
    public func save(to path: String) throws(FormatError) -> Int {
        try SavedState.write(denseTokens, of: self, to: path)
        return denseTokens
    }

    /// Forgets all tokens and takes over those of a file. `logits` is not recomputed: evaluate a token to have some.
    /// - Parameter prompt: take over only what this begins with, too, and never its last token, so that one is left to evaluate;
    ///   nil for all.
    /// - Returns: how many tokens were taken over.
    /// - Complexity: O(tokens); memory: one record of the file.
    /// - Throws: `FormatError` for a file of another model or type of cache, one that is damaged, or one of more tokens than
    ///   the context holds. The session is empty then.
    @discardableResult
    public func restore(_ state: SavedState, for prompt: [Int32]? = nil) throws(FormatError) -> Int {
        rewind(to: 0)
        let wanted =
            prompt.map { min(state.common(with: $0), max($0.count - 1, 0), contextLimit) } ?? state.tokens.count
        guard wanted <= contextLimit else {
            throw FormatError(
                .unsupported, path: state.path, item: "tokens",
                "there are \(wanted), and the context of this session holds \(contextLimit); use a larger context")
        }
        try state.read(wanted, into: self)
        tokens = Array(state.tokens[..<wanted])
        denseTokens = wanted
        return wanted
    }
}
