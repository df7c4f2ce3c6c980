// SPDX-License-Identifier: Apache-2.0

import Quant
import TinySupport

/// A GGUF file (version 2 or 3, little-endian), read in place.
///
/// Opening checks the whole header: after that, every metadata value and every
/// tensor lies inside the file. Cost: O(header), the weights stay untouched.
/// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
package struct GGUF: Sendable {
    /// One tensor of the file.
    package struct Tensor: Sendable {
        package let name: String
        /// Sizes, the contiguous dimension first; 1 to 4 of them, all positive.
        package let dimensions: [Int]
        /// The number of the type in the file (`ggml_type`).
        package let typeNumber: UInt32
        /// How the weights are stored; nil for types this runtime cannot read.
        package let format: BlockFormat?
        /// Where the weights lie in the file; empty if `format` is nil.
        package let range: Range<Int>

        /// The name of the type, for messages.
        package var typeName: String { BlockFormat.name(ofType: typeNumber) }
    }

    package let file: MappedFile
    /// Whether the file begins with PowerInfer's letters, PWRI: the rest is GGUF, the models are not llama.cpp's.
    package let isPowerInfer: Bool
    package let version: UInt32
    package let alignment: Int
    /// Metadata in file order.
    package let entries: [GGUFEntry]
    /// Tensors in file order.
    package let tensors: [Tensor]

    private let entryIndex: [String: Int]
    private let tensorIndex: [String: Int]

    /// The path, for messages.
    package var path: String { file.path }

    /// Maps and reads the file at `path`.
    /// - Throws: `FormatError` naming the key or tensor and the byte offset.
    package init(path: String) throws(FormatError) {
        try self.init(MappedFile(path: path))
    }

    /// Reads an already mapped file.
    package init(_ file: MappedFile) throws(FormatError) {
        var reader = ByteReader(file)
        (isPowerInfer, version) = try GGUF.readVersion(&reader)
        let tensorCount = try reader.count(of: 32, limit: 1 << 17, "the number of tensors")
        let entryCount = try reader.count(of: 13, limit: 1 << 13, "the number of metadata keys")

        var entries: [GGUFEntry] = []
        var entryIndex: [String: Int] = [:]
        for _ in 0..<entryCount {
            let start = reader.offset
            let entry = try GGUFEntry(&reader)
            guard entryIndex.updateValue(entries.count, forKey: entry.key) == nil else {
                throw FormatError(
                    .malformed, path: file.path, item: entry.key, offset: start,
                    "the metadata key appears twice")
            }
            entries.append(entry)
        }

        var alignment = 32
        if let index = entryIndex["general.alignment"] {
            alignment = try entries[index].integer(in: file)
            guard alignment > 0, alignment & (alignment - 1) == 0, alignment <= 1 << 20 else {
                throw FormatError(
                    .malformed, path: file.path, item: "general.alignment",
                    offset: entries[index].range.lowerBound,
                    "\(alignment) is not a power of two up to 1 MiB")
            }
        }

        var headers: [TensorHeader] = []
        for _ in 0..<tensorCount { headers.append(try TensorHeader(&reader)) }
        let dataStart = (reader.offset + alignment - 1) / alignment * alignment

        var tensors: [Tensor] = []
        var tensorIndex: [String: Int] = [:]
        for header in headers {
            let tensor = try header.locate(dataStart: dataStart, alignment: alignment, file: file)
            guard tensorIndex.updateValue(tensors.count, forKey: tensor.name) == nil else {
                throw FormatError(
                    .malformed, path: file.path, item: tensor.name, offset: header.start,
                    "the tensor appears twice")
            }
            tensors.append(tensor)
        }
        try requireNoOverlap(tensors.filter { !$0.range.isEmpty }.map { ($0.name, $0.range) }, path: file.path)
        self.file = file
        self.alignment = alignment
        self.entries = entries
        self.entryIndex = entryIndex
        self.tensors = tensors
        self.tensorIndex = tensorIndex
    }

    /// The metadata entry called `key`. O(1).
    package func entry(_ key: String) -> GGUFEntry? { entryIndex[key].map { entries[$0] } }

    /// The tensor called `name`. O(1).
    package func tensor(_ name: String) -> Tensor? { tensorIndex[name].map { tensors[$0] } }

    /// The bytes of a tensor of this file.
    package func bytes(of tensor: Tensor) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[tensor.range])
    }

    private static let magic: UInt32 = 0x4655_4747, powerInferMagic: UInt32 = 0x4952_5750

    /// True if the file starts with the letters GGUF or PWRI.
    package static func matches(_ file: MappedFile) -> Bool {
        guard file.size >= 4 else { return false }
        return [magic, powerInferMagic].contains(UInt32(littleEndian: file.bytes.loadUnaligned(as: UInt32.self)))
    }

    private static func readVersion(
        _ reader: inout ByteReader
    ) throws(FormatError) -> (isPowerInfer: Bool, version: UInt32) {
        let magic: UInt32 = try reader.integer("the magic number")
        guard magic == Self.magic || magic == Self.powerInferMagic else {
            throw FormatError(
                .malformed, path: reader.path, offset: 0,
                "does not start with GGUF; give a .gguf file or a directory with "
                    + "config.json and model.safetensors")
        }
        let version: UInt32 = try reader.integer("the version")
        guard version == 2 || version == 3 else {
            let what = version.byteSwapped <= 3 && version != 0 ? "is big-endian" : "is unknown"
            throw FormatError(
                .unsupported, path: reader.path, offset: 4,
                "GGUF version \(version) \(what); versions 2 and 3, little-endian, are supported")
        }
        return (magic == Self.powerInferMagic, version)
    }
}

/// A tensor as the header describes it, its place not yet checked.
private struct TensorHeader {
    let start: Int
    let name: String
    let dimensions: [Int]
    let count: Int
    let typeNumber: UInt32
    let dataOffset: UInt64

    init(_ reader: inout ByteReader) throws(FormatError) {
        start = reader.offset
        let name = try reader.string(limit: 256, "a tensor's name")
        let (path, start) = (reader.path, start)
        func malformed(_ message: String) -> FormatError {
            FormatError(.malformed, path: path, item: name, offset: start, message)
        }
        let rank: UInt32 = try reader.integer("the number of dimensions of \(name)")
        guard (1...4).contains(rank) else { throw malformed("has \(rank) dimensions, not 1 to 4") }
        var dimensions: [Int] = []
        var count = 1
        for _ in 0..<rank {
            let size: UInt64 = try reader.integer("a dimension of \(name)")
            guard size > 0, let size = Int(exactly: size) else {
                throw malformed("a dimension is \(size); the file is damaged, get it again")
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow else { throw malformed("the number of weights overflows 64 bits") }
            count = product
            dimensions.append(size)
        }
        self.name = name
        self.dimensions = dimensions
        self.count = count
        typeNumber = try reader.integer("the type of \(name)")
        dataOffset = try reader.integer("the place of \(name)")
    }

    func locate(dataStart: Int, alignment: Int, file: MappedFile) throws(FormatError) -> GGUF.Tensor {
        func fail(_ kind: FormatError.Kind, _ message: String) -> FormatError {
            FormatError(kind, path: file.path, item: name, offset: start, message)
        }
        guard dataOffset % UInt64(alignment) == 0 else {
            throw fail(.malformed, "its place, \(dataOffset), is not a multiple of \(alignment)")
        }
        guard dataStart <= file.size, dataOffset <= UInt64(file.size - dataStart) else {
            throw fail(
                .truncated,
                "its weights start beyond the end of the file (\(file.size) bytes); "
                    + "the download is incomplete, get it again")
        }
        let first = dataStart + Int(dataOffset)
        let format = BlockFormat(rawValue: typeNumber)
        var size = 0
        if let format {
            guard dimensions[0] % format.blockLength == 0, let bytes = format.byteCount(ofTensor: count)
            else {
                throw fail(
                    .malformed,
                    "a row of \(dimensions[0]) is not a whole number of \(format.name) blocks")
            }
            guard bytes <= file.size - first else {
                throw fail(
                    .truncated,
                    "its \(bytes) bytes reach beyond the end of the file (\(file.size) bytes); "
                        + "the download is incomplete, get it again")
            }
            size = bytes
        }
        return GGUF.Tensor(
            name: name, dimensions: dimensions, typeNumber: typeNumber, format: format,
            range: first..<(first + size))
    }
}
