// SPDX-License-Identifier: Apache-2.0

/// Reads the fields of a message in the wire format of Protocol Buffers, one after the other.
///
/// Source: https://protobuf.dev/programming-guides/encoding/
struct ProtobufReader {
    /// The value of a field.
    enum Value {
        case integer(UInt64)
        /// A float, an int32 or the like in four bytes.
        case fixed32(UInt32)
        case fixed64(UInt64)
        /// Text, a message, or packed numbers.
        case bytes(ArraySlice<UInt8>)
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The next field; nil at the end.
    /// - Throws: `malformedFile` for what is none.
    mutating func next() throws(TokenizerError) -> (field: Int, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let tag = try integer()
        let field = Int(truncatingIfNeeded: tag >> 3)
        switch tag & 7 {
        case 0: return (field, .integer(try integer()))
        case 1: return (field, .fixed64(UInt64(try fixed(4)) | UInt64(try fixed(4)) << 32))
        case 2:
            let count = try integer()
            guard count <= rest.count else { throw Self.damaged }
            defer { rest = rest.dropFirst(Int(count)) }
            return (field, .bytes(rest.prefix(Int(count))))
        case 5: return (field, .fixed32(try fixed(4)))
        default: throw Self.damaged
        }
    }

    static var damaged: TokenizerError {
        .malformedFile("is not a SentencePiece model, or is damaged; get the file again")
    }

    private mutating func integer() throws(TokenizerError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw Self.damaged }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw Self.damaged
    }

    private mutating func fixed(_ count: Int) throws(TokenizerError) -> UInt32 {
        guard rest.count >= count else { throw Self.damaged }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
