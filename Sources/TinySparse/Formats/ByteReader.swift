// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Reads little-endian values one after another, never past the end.
package struct ByteReader {
    private let file: MappedFile  // keeps the bytes
    let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    package init(_ file: MappedFile) {
        self.file = file
        bytes = file.bytes
    }

    var path: String { file.path }

    var remaining: Int { bytes.count - offset }

    /// Moves `count` bytes on and returns where they start.
    /// - Throws: `FormatError.Kind.truncated`, naming `what` cannot be read.
    package mutating func skip(_ count: Int, _ what: @autoclosure () -> String) throws(FormatError) -> Int {
        guard count >= 0, count <= remaining else {
            throw error(
                .truncated,
                "\(what()) takes \(count) bytes, but only \(remaining) are left; "
                    + "the file is cut off or damaged, get it again")
        }
        defer { offset += count }
        return offset
    }

    /// A fixed-width integer.
    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ what: @autoclosure () -> String
    ) throws(FormatError) -> T {
        let start = try skip(MemoryLayout<T>.size, what())
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: T.self))
    }

    /// A 64-bit count of things that take at least `size` bytes each; checked
    /// against the bytes left and `limit`, so that it is safe to loop over.
    package mutating func count(of size: Int, limit: Int, _ what: @autoclosure () -> String) throws(FormatError) -> Int
    {
        let start = offset
        let count: UInt64 = try integer(what())
        guard count <= UInt64(remaining / size) else {
            throw FormatError(
                .truncated, path: path, offset: start,
                "\(what()) is \(count), more than the \(remaining) bytes left can hold; "
                    + "the file is cut off or damaged, get it again")
        }
        guard count <= UInt64(limit) else {
            throw FormatError(
                .unsupported, path: path, offset: start,
                "\(what()) is \(count), more than the \(limit) supported")
        }
        return Int(count)
    }

    /// The range of a string's bytes: a 64-bit length, then the bytes.
    mutating func stringRange(limit: Int, _ what: @autoclosure () -> String) throws(FormatError) -> Range<Int> {
        let length = try count(of: 1, limit: limit, "the length of \(what())")
        let start = try skip(length, what())
        return start..<(start + length)
    }

    /// A string that has to be UTF-8.
    mutating func string(limit: Int, _ what: @autoclosure () -> String) throws(FormatError) -> String {
        let range = try stringRange(limit: limit, what())
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw FormatError(
                .malformed, path: path, offset: range.lowerBound,
                "\(what()) is not UTF-8; the file is damaged, get it again")
        }
        return text
    }

    func error(_ kind: FormatError.Kind, _ message: String) -> FormatError {
        FormatError(kind, path: path, offset: offset, message)
    }
}
