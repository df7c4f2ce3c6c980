// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A type of metadata value in a GGUF file.
package enum GGUFType: UInt32, Sendable, CustomStringConvertible {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array
    case uint64, int64, float64

    /// Its name. (Embedded Swift does not know the names of cases.)
    package var description: String {
        switch self {
        case .uint8: "uint8"
        case .int8: "int8"
        case .uint16: "uint16"
        case .int16: "int16"
        case .uint32: "uint32"
        case .int32: "int32"
        case .float32: "float32"
        case .bool: "bool"
        case .string: "string"
        case .array: "array"
        case .uint64: "uint64"
        case .int64: "int64"
        case .float64: "float64"
        }
    }

    /// Bytes of a value; nil for strings and arrays.
    package var size: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }
}

/// One metadata key with the place of its value, which is decoded on demand:
/// a vocabulary costs nothing until it is read.
package struct GGUFEntry: Sendable {
    package let key: String
    package let type: GGUFType
    /// For arrays: the type and the number of elements.
    package let element: (type: GGUFType, count: Int)?
    /// The value's bytes in the file: of an array its elements, of a string its text.
    package let range: Range<Int>
    /// The value as stored, with array headers and string lengths.
    package let stored: Range<Int>

    /// Longest key and longest single string accepted.
    private static let keyLimit = 1 << 16
    private static let stringLimit = 1 << 24

    init(_ reader: inout ByteReader) throws(FormatError) {
        let key = try reader.string(limit: Self.keyLimit, "a metadata key")
        self.key = key
        type = try Self.readType(&reader, key)
        let start = reader.offset
        switch type {
        case .string:
            element = nil
            range = try reader.stringRange(limit: Self.stringLimit, key)
        case .array:
            let elementType = try Self.readType(&reader, key)
            guard elementType != .array else {
                throw FormatError(
                    .unsupported, path: reader.path, item: key, offset: start,
                    "arrays of arrays are not supported")
            }
            let size = elementType.size ?? 8  // a string takes at least its length
            let count = try reader.count(of: size, limit: 1 << 28, "the array size of \(key)")
            element = (elementType, count)
            let first = reader.offset
            if elementType == .string {
                for _ in 0..<count { _ = try reader.stringRange(limit: Self.stringLimit, key) }
            } else {
                _ = try reader.skip(count * size, key)
            }
            range = first..<reader.offset
        default:
            element = nil
            let first = try reader.skip(type.size!, key)
            range = first..<reader.offset
        }
        stored = start..<reader.offset
    }

    private static func readType(_ reader: inout ByteReader, _ key: String) throws(FormatError) -> GGUFType {
        let start = reader.offset
        let number: UInt32 = try reader.integer("the type of \(key)")
        guard let type = GGUFType(rawValue: number) else {
            throw FormatError(
                .malformed, path: reader.path, item: key, offset: start,
                "\(number) is not a metadata type; the file is damaged, get it again")
        }
        return type
    }
}
