// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinySupport

/// One safetensors file, read in place.
///
/// Opening checks the whole header: every tensor then lies inside the file.
/// Cost: O(header log header), the weights stay untouched.
/// Source: https://github.com/huggingface/safetensors
package struct Safetensors: Sendable {
    /// One tensor of the file.
    package struct Tensor: Sendable {
        package let name: String
        /// Sizes, the contiguous dimension last; none for a single number.
        package let shape: [Int]
        /// The type's name in the file.
        package let typeName: String
        /// How the weights are stored; nil for types this runtime cannot read.
        package let format: BlockFormat?
        /// Where the weights lie in the file.
        package let range: Range<Int>
    }

    package let file: MappedFile
    /// Tensors in the order of the header.
    package let tensors: [Tensor]
    private let index: [String: Int]

    /// Longest header accepted; those of real files are far below 1 MiB.
    static let headerLimit = 1 << 24

    /// Maps and reads the file at `path`.
    /// - Throws: `FormatError` naming the tensor and the byte offset.
    package init(path: String) throws(FormatError) {
        try self.init(MappedFile(path: path))
    }

    /// Reads an already mapped file.
    package init(_ file: MappedFile) throws(FormatError) {
        var reader = ByteReader(file)
        let length = try reader.count(of: 1, limit: Self.headerLimit, "the length of the header")
        let start = try reader.skip(length, "the header")
        let header = UnsafeRawBufferPointer(rebasing: file.bytes[start..<(start + length)])
        let json = try JSON.read(header, path: file.path, offset: start)
        guard let members = json.object else {
            throw FormatError(
                .malformed, path: file.path, offset: start, "the header is not a JSON object")
        }
        var tensors: [Tensor] = []
        var index: [String: Int] = [:]
        for (name, value) in members where name != "__metadata__" {
            let tensor = try Self.tensor(name, value, file: file, dataStart: start + length)
            guard index.updateValue(tensors.count, forKey: name) == nil else {
                throw FormatError(
                    .malformed, path: file.path, item: name, "the tensor appears twice")
            }
            tensors.append(tensor)
        }
        try requireNoOverlap(tensors.map { ($0.name, $0.range) }, path: file.path)
        self.file = file
        self.tensors = tensors
        self.index = index
    }

    /// The tensor called `name`. O(1).
    package func tensor(_ name: String) -> Tensor? { index[name].map { tensors[$0] } }

    /// The bytes of a tensor of this file.
    package func bytes(of tensor: Tensor) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[tensor.range])
    }

    private static func tensor(
        _ name: String, _ value: JSON, file: MappedFile, dataStart: Int
    ) throws(FormatError) -> Tensor {
        func malformed(_ message: String) -> FormatError {
            FormatError(
                .malformed, path: file.path, item: name, "\(message); the file is damaged, get it again")
        }
        guard let typeName = value["dtype"]?.string, let bits = bitsOfType[typeName] else {
            throw malformed("its dtype is missing or unknown")
        }
        guard let sizes = value["shape"]?.array, sizes.count <= 8 else {
            throw malformed("its shape is missing or has more than 8 dimensions")
        }
        var shape: [Int] = []
        var bitCount = bits
        for size in sizes {
            guard let size = size.integer, size >= 0 else { throw malformed("its shape is not a list of sizes") }
            let (product, overflow) = bitCount.multipliedReportingOverflow(by: Int(size))
            guard !overflow else { throw malformed("its size overflows 64 bits") }
            bitCount = product
            shape.append(Int(size))
        }
        guard let offsets = value["data_offsets"]?.array, offsets.count == 2,
            let begin = offsets[0].integer, let end = offsets[1].integer,
            0 <= begin, begin <= end
        else { throw malformed("its data_offsets are not two ascending offsets") }
        guard Int(end) <= file.size - dataStart else {
            throw FormatError(
                .truncated, path: file.path, item: name, offset: dataStart,
                "its weights reach byte \(end) of the data, but there are only "
                    + "\(file.size - dataStart); the download is incomplete, get it again")
        }
        guard bitCount % 8 == 0, bitCount / 8 == Int(end - begin) else {
            throw malformed("its shape and type do not make \(end - begin) bytes")
        }
        let format: BlockFormat? =
            switch typeName {
            case "F32": .f32
            case "F16": .f16
            case "BF16": .bf16
            default: nil
            }
        return Tensor(
            name: name, shape: shape, typeName: typeName, format: format,
            range: (dataStart + Int(begin))..<(dataStart + Int(end)))
    }

    private static let bitsOfType = [
        "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32,
        "F16": 16, "BF16": 16, "I16": 16, "U16": 16, "I8": 8, "U8": 8, "BOOL": 8,
        "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
    ]
}

extension JSON {
    /// Parses `bytes`, which start at byte `offset` of the file at `path`.
    static func read(
        _ bytes: UnsafeRawBufferPointer, path: String, offset: Int = 0, allowsNonFinite: Bool = false
    ) throws(FormatError) -> JSON {
        do throws(JSONError) {
            return try parse(bytes, allowsNonFinite: allowsNonFinite)
        } catch {
            throw FormatError(
                .malformed, path: path, offset: offset + error.offset, "not JSON: \(error.message)")
        }
    }

    /// Parses a whole, small file, which Python may have written: numbers need not be finite.
    /// - Throws: `FormatError`, also for files above `limit` bytes.
    static func read(path: String, limit: Int = 1 << 24) throws(FormatError) -> JSON {
        try read(MappedFile(path: path), limit: limit)
    }

    /// The same for a file that is open.
    static func read(_ file: MappedFile, limit: Int) throws(FormatError) -> JSON {
        guard file.size <= limit else {
            throw FormatError(
                .unsupported, path: file.path, "has \(file.size) bytes; at most \(limit) are supported")
        }
        defer { withExtendedLifetime(file) {} }
        return try read(file.bytes, path: file.path, allowsNonFinite: true)
    }
}
