// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinySupport

/// The beginning of a saved session:
///
///     8 bytes   "TSPSTATE"
///     UInt32    version of this format, 1
///     UInt32    version of the numeric contract
///     UInt64    identity of the model: xxHash64 of its native file before the first tensor, where the checksums of the tensors
///               are, too
///     UInt32    type of cache; 0: half, 1: int8
///     UInt32    which rotations are those of long contexts; bit 0: the model's, bit 1: that of local layers
///     UInt64    number of tokens
///     UInt64    xxHash64 of the 40 bytes before
struct SavedStateHeader {
    /// Bytes of a header; the last eight are its hash.
    static let size = 48
    private static let magic: UInt64 = 0x4554_4154_5350_5354
    private static let version: UInt32 = 1

    private let contract: UInt32
    private let model: UInt64
    private let cache: UInt32
    private let rotations: UInt32
    /// Tokens of the file.
    let count: Int

    /// Of the first `count` tokens of a session.
    init(_ session: Session, count: Int) {
        contract = UInt32(TinySparseVersion.numericContract)
        model = session.model.file.identity
        (cache, rotations) = Self.kind(of: session)
        self.count = count
    }

    /// How a session keeps keys, and how it rotates them.
    private static func kind(of session: Session) -> (cache: UInt32, rotations: UInt32) {
        let config = session.model.config, context = session.contextLimit
        var rotations: UInt32 = 0
        if case .rope(let rope) = config.positions, rope.usesLongFactors(context: context) { rotations |= 1 }
        if let rope = config.localRope, rope.usesLongFactors(context: context) { rotations |= 2 }
        return (session.cache.pages.type == .half ? 0 : 1, rotations)
    }

    /// The bytes of the header.
    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(number: Self.magic)
        bytes.append(number: Self.version)
        bytes.append(number: contract)
        bytes.append(number: model)
        bytes.append(number: cache)
        bytes.append(number: rotations)
        bytes.append(number: UInt64(count))
        bytes.append(number: headerHash(bytes))
        return bytes
    }

    /// The hash of the header, which seeds that of the tokens.
    var hash: UInt64 { headerHash(encoded) }

    /// - Throws: `FormatError` for a file that does not begin so.
    init(_ file: InputFile) throws(FormatError) {
        let bytes = try file.bytes(0..<min(Self.size, file.size))
        guard bytes.count >= 8, bytes.number(at: 0) == Self.magic else {
            throw FormatError(.malformed, path: file.path, "is no saved session; choose another file")
        }
        guard bytes.count == Self.size else {
            throw Self.problem(.truncated, file.path, "header", "the file ends within it")
        }
        guard bytes.number(at: 8) == Self.version else {
            let version: UInt32 = bytes.number(at: 8)
            throw Self.problem(
                .unsupported, file.path, "version", "is \(version), and this program reads version \(Self.version)")
        }
        contract = bytes.number(at: 12)
        model = bytes.number(at: 16)
        cache = bytes.number(at: 24)
        rotations = bytes.number(at: 28)
        let count: UInt64 = bytes.number(at: 32)
        guard bytes.number(at: 40) == headerHash(bytes) else {
            throw Self.problem(.checksum, file.path, "header", "is damaged")
        }
        // No context is larger.
        guard count <= 1 << 24 else { throw Self.problem(.malformed, file.path, "tokens", "there cannot be \(count)") }
        self.count = Int(count)
    }

    /// - Throws: `FormatError` if the file is of another model or contract.
    func check(_ model: Model, _ path: String) throws(FormatError) {
        guard contract == TinySparseVersion.numericContract else {
            throw Self.problem(
                .mismatch, path, "numeric contract",
                "is version \(contract), and this program computes by version \(TinySparseVersion.numericContract)")
        }
        guard self.model == model.file.identity else {
            throw Self.problem(.mismatch, path, "model", "is another one than \(printable(model.config.name))")
        }
    }

    /// - Throws: `FormatError` if the session keeps other keys and values.
    func check(_ session: Session, _ path: String) throws(FormatError) {
        try check(session.model, path)
        let kind = Self.kind(of: session)
        guard cache == kind.cache else {
            let (its, ours) = kind.cache == 0 ? ("int8", "half") : ("half", "int8")
            throw Self.problem(
                .mismatch, path, "cache", "is of type \(its), and that of this session of type \(ours)")
        }
        guard rotations == kind.rotations else {
            throw Self.problem(
                .mismatch, path, "positions",
                "this model rotates them otherwise in a context of \(session.contextLimit) tokens than in that of the file"
            )
        }
    }

    /// What to do about a file that cannot be used.
    private static let advice = "choose another file, or delete this one"

    /// An error about a file that cannot be used.
    static func problem(_ kind: FormatError.Kind, _ path: String, _ item: String, _ what: String) -> FormatError {
        FormatError(kind, path: path, item: item, "\(what); \(advice)")
    }
}

/// The hash of a header's bytes before it.
private func headerHash(_ bytes: [UInt8]) -> UInt64 {
    bytes.withUnsafeBytes { xxHash64(UnsafeRawBufferPointer(rebasing: $0.prefix(SavedStateHeader.size - 8))) }
}

extension [UInt8] {
    /// Appends a number, little-endian.
    mutating func append(number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    /// The little-endian number at `offset`.
    func number<Number: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Number {
        withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
    }
}
