// SPDX-License-Identifier: Apache-2.0

// Typed access to metadata values.

import TinyPlatform
import TinySupport

extension GGUFEntry {
    /// The value as an integer, whatever integer type it is stored in.
    package func integer(in file: MappedFile) throws(FormatError) -> Int {
        let value: Int? =
            switch type {
            case .uint8: Int(load(file, UInt8.self))
            case .int8: Int(load(file, Int8.self))
            case .uint16: Int(load(file, UInt16.self))
            case .int16: Int(load(file, Int16.self))
            case .uint32: Int(load(file, UInt32.self))
            case .int32: Int(load(file, Int32.self))
            case .uint64: Int(exactly: load(file, UInt64.self))
            case .int64: Int(load(file, Int64.self))
            default: nil
            }
        return try expect(value, "a 64-bit integer", file)
    }

    /// The value as a floating-point number; integers do too.
    package func double(in file: MappedFile) throws(FormatError) -> Double {
        switch type {
        case .float32: Double(Float(bitPattern: load(file, UInt32.self)))
        case .float64: Double(bitPattern: load(file, UInt64.self))
        case .bool, .string, .array: try expect(nil, "a number", file)
        default: Double(try integer(in: file))
        }
    }

    /// The value as a truth value.
    package func bool(in file: MappedFile) throws(FormatError) -> Bool {
        try expect(type == .bool ? load(file, UInt8.self) != 0 : nil, "a truth value", file)
    }

    /// The value as text, which has to be UTF-8.
    package func string(in file: MappedFile) throws(FormatError) -> String {
        guard type == .string else { return try expect(nil, "text", file) }
        return try expect(
            String(validating: file.bytes[range], as: UTF8.self), "text in UTF-8", file)
    }

    /// The value as a list of byte strings, which need not be UTF-8.
    /// Memory: bounded by `limit` strings and 256 MiB of text.
    package func byteStrings(in file: MappedFile, limit: Int = 1 << 21) throws(FormatError) -> [[UInt8]] {
        guard let element, element.type == .string else {
            return try expect(nil, "a list of strings", file)
        }
        guard element.count <= limit, range.count <= 1 << 28 else {
            throw FormatError(
                .unsupported, path: file.path, item: key, offset: stored.lowerBound,
                "has \(element.count) strings in \(range.count) bytes; at most \(limit) "
                    + "strings in 256 MiB are supported")
        }
        var offset = range.lowerBound
        return (0..<element.count).map { _ in
            // Lengths were checked when the file was opened.
            let length = Int(file.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            defer { offset += 8 + length }
            return [UInt8](file.bytes[(offset + 8)..<(offset + 8 + length)])
        }
    }

    /// The value as a list of 32-bit integers, signed or not.
    package func int32s(in file: MappedFile) throws(FormatError) -> [Int32] {
        guard let element, element.type == .int32 || element.type == .uint32 else {
            return try expect(nil, "a list of 32-bit integers", file)
        }
        return try array(file, element.count)
    }

    /// The value as a list of floats.
    package func floats(in file: MappedFile) throws(FormatError) -> [Float] {
        guard let element, element.type == .float32 else {
            return try expect(nil, "a list of floats", file)
        }
        return (try array(file, element.count) as [UInt32]).map { Float(bitPattern: $0) }
    }

    /// The value as a list of numbers of either precision, or of whole ones.
    package func doubles(in file: MappedFile) throws(FormatError) -> [Double] {
        switch element?.type {
        case .float32: return try floats(in: file).map { Double($0) }
        case .int32: return try int32s(in: file).map { Double($0) }
        case .float64:
            return (try array(file, element?.count ?? 0) as [UInt64]).map { Double(bitPattern: $0) }
        default: return try expect(nil, "a list of floats", file)
        }
    }

    /// The value as a list of bytes.
    package func bytes(in file: MappedFile) throws(FormatError) -> [UInt8] {
        guard let element, element.type == .uint8 || element.type == .int8 else {
            return try expect(nil, "a list of bytes", file)
        }
        return try array(file, element.count)
    }

    /// The value as a list of unsigned 64-bit integers.
    package func uint64s(in file: MappedFile) throws(FormatError) -> [UInt64] {
        guard let element, element.type == .uint64 else {
            return try expect(nil, "a list of unsigned 64-bit integers", file)
        }
        return try array(file, element.count)
    }

    private func array<T: FixedWidthInteger & BitwiseCopyable>(
        _ file: MappedFile, _ count: Int
    ) throws(FormatError) -> [T] {
        guard count <= 1 << 22 else {
            throw FormatError(
                .unsupported, path: file.path, item: key, offset: stored.lowerBound,
                "has \(count) numbers; at most \(1 << 22) are supported")
        }
        return (0..<count).map {
            let offset = range.lowerBound + $0 * MemoryLayout<T>.size
            return T(littleEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
    }

    private func load<T: FixedWidthInteger & BitwiseCopyable>(
        _ file: MappedFile, _ type: T.Type
    ) -> T {
        T(littleEndian: file.bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: T.self))
    }

    private func expect<T>(_ value: T?, _ what: String, _ file: MappedFile) throws(FormatError) -> T {
        if let value { return value }
        throw FormatError(
            .malformed, path: file.path, item: key, offset: stored.lowerBound,
            "should be \(what), but is stored as \(type)")
    }
}

extension GGUF {
    /// The error for a key that has to be there.
    package func missing(_ key: String) -> FormatError {
        FormatError(
            .missing, path: path, item: key,
            "the metadata key is missing; the file was not made for this kind of model")
    }

    /// An integer that has to be there.
    package func integer(_ key: String) throws(FormatError) -> Int {
        guard let entry = entry(key) else { throw missing(key) }
        return try entry.integer(in: file)
    }

    /// An integer, or nil if the key is absent.
    package func optionalInteger(_ key: String) throws(FormatError) -> Int? {
        try entry(key)?.integer(in: file)
    }

    /// A number that has to be there.
    package func double(_ key: String) throws(FormatError) -> Double {
        guard let entry = entry(key) else { throw missing(key) }
        return try entry.double(in: file)
    }

    /// A number, or nil if the key is absent.
    package func optionalDouble(_ key: String) throws(FormatError) -> Double? {
        try entry(key)?.double(in: file)
    }

    /// A truth value that has to be there.
    package func bool(_ key: String) throws(FormatError) -> Bool {
        guard let entry = entry(key) else { throw missing(key) }
        return try entry.bool(in: file)
    }

    /// A truth value, or nil if the key is absent.
    package func optionalBool(_ key: String) throws(FormatError) -> Bool? {
        try entry(key)?.bool(in: file)
    }

    /// Text that has to be there.
    package func string(_ key: String) throws(FormatError) -> String {
        guard let entry = entry(key) else { throw missing(key) }
        return try entry.string(in: file)
    }

    /// Text, or nil if the key is absent.
    package func optionalString(_ key: String) throws(FormatError) -> String? {
        try entry(key)?.string(in: file)
    }
}
