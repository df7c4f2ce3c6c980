// SPDX-License-Identifier: Apache-2.0

import Quant
import TinySupport

/// Lays out a GGUF version 3 file.
///
/// Add metadata and tensors in any order, then `finish()`. The layout says
/// where each tensor's bytes go; they can be written in any order, one tensor at
/// a time, and the header last, so that a file cut short never looks whole.
package struct GGUFWriter {
    private let alignment: Int
    private var metadata: [UInt8] = []
    private var entryCount: UInt64 = 0
    private var infos: [UInt8] = []
    private var tensorCount: UInt64 = 0
    private var places: [Range<Int>] = []
    private var dataSize = 0
    /// Where in `metadata` a value set later starts.
    private var checksumsAt: Int?

    /// - Parameter alignment: of tensors, in bytes; a power of two.
    package init(alignment: Int) {
        precondition(alignment > 0 && alignment & (alignment - 1) == 0)
        self.alignment = alignment
        add("general.alignment", UInt32(alignment))
    }

    package mutating func add(_ key: String, _ value: UInt32) {
        begin(key, .uint32)
        metadata.append(integer: value)
    }

    package mutating func add(_ key: String, _ value: Float) {
        begin(key, .float32)
        metadata.append(integer: value.bitPattern)
    }

    package mutating func add(_ key: String, _ value: Double) {
        begin(key, .float64)
        metadata.append(integer: value.bitPattern)
    }

    package mutating func add(_ key: String, _ value: Bool) {
        begin(key, .bool)
        metadata.append(value ? 1 : 0)
    }

    package mutating func add(_ key: String, _ value: String) {
        begin(key, .string)
        metadata.append(string: value.utf8)
    }

    package mutating func add(_ key: String, _ values: [[UInt8]]) {
        begin(key, .array, of: .string, values.count)
        for value in values { metadata.append(string: value) }
    }

    package mutating func add(_ key: String, _ values: [Int32]) {
        begin(key, .array, of: .int32, values.count)
        for value in values { metadata.append(integer: value) }
    }

    package mutating func add(_ key: String, _ values: [Float]) {
        begin(key, .array, of: .float32, values.count)
        for value in values { metadata.append(integer: value.bitPattern) }
    }

    package mutating func add(_ key: String, _ values: [Double]) {
        begin(key, .array, of: .float64, values.count)
        for value in values { metadata.append(integer: value.bitPattern) }
    }

    package mutating func add(_ key: String, _ values: [UInt8]) {
        begin(key, .array, of: .uint8, values.count)
        metadata += values
    }

    /// Copies an entry of another file as it is stored.
    package mutating func copy(_ entry: GGUFEntry, from file: MappedFile) {
        begin(entry.key, entry.type)
        metadata.append(contentsOf: file.bytes[entry.stored])
    }

    /// Makes room for one 64-bit checksum a tensor, all to be added before
    /// `finish()`; `GGUFLayout.set(checksums:)` fills it in.
    package mutating func addChecksums(_ key: String, count: Int) {
        begin(key, .array, of: .uint64, count)
        checksumsAt = metadata.count
        metadata.append(contentsOf: repeatElement(0, count: 8 * count))
    }

    /// Adds a tensor after the last one.
    /// - Parameter dimensions: the contiguous one first; a whole number of blocks.
    package mutating func addTensor(_ name: String, _ format: BlockFormat, dimensions: [Int]) {
        infos.append(string: name.utf8)
        infos.append(integer: UInt32(dimensions.count))
        for size in dimensions { infos.append(integer: UInt64(size)) }
        infos.append(integer: format.rawValue)
        infos.append(integer: UInt64(dataSize))
        tensorCount += 1
        let size = format.byteCount(ofTensor: dimensions.reduce(1, *))!
        places.append(dataSize..<(dataSize + size))
        dataSize = (dataSize + size + alignment - 1) / alignment * alignment
    }

    /// The finished header and the place of every tensor.
    package func finish() -> GGUFLayout {
        var header: [UInt8] = Array("GGUF".utf8)
        header.append(integer: UInt32(3))
        header.append(integer: tensorCount)
        header.append(integer: entryCount)
        let checksumsAt = checksumsAt.map { $0 + header.count }
        header += metadata
        header += infos
        let padding = (alignment - header.count % alignment) % alignment
        header.append(contentsOf: repeatElement(0, count: padding))
        return GGUFLayout(
            header: header, checksumsAt: checksumsAt,
            tensors: places.map { ($0.lowerBound + header.count)..<($0.upperBound + header.count) },
            size: header.count + dataSize)
    }

    private mutating func begin(_ key: String, _ type: GGUFType) {
        metadata.append(string: key.utf8)
        metadata.append(integer: type.rawValue)
        entryCount += 1
    }

    private mutating func begin(_ key: String, _ type: GGUFType, of element: GGUFType, _ count: Int) {
        begin(key, type)
        metadata.append(integer: element.rawValue)
        metadata.append(integer: UInt64(count))
    }
}

/// Where everything goes in a GGUF file to be written.
package struct GGUFLayout {
    /// The first bytes of the file, up to the first tensor.
    package private(set) var header: [UInt8]
    private let checksumsAt: Int?
    /// The bytes of each tensor, in the order they were added.
    package let tensors: [Range<Int>]
    /// Size of the file; the last tensor is padded too.
    package let size: Int

    fileprivate init(header: [UInt8], checksumsAt: Int?, tensors: [Range<Int>], size: Int) {
        self.header = header
        self.checksumsAt = checksumsAt
        self.tensors = tensors
        self.size = size
    }

    /// Writes the checksum of tensor `index` into the header.
    package mutating func set(checksum: UInt64, ofTensor index: Int) {
        guard let checksumsAt else { return }
        withUnsafeBytes(of: checksum.littleEndian) {
            header.replaceSubrange((checksumsAt + 8 * index)..<(checksumsAt + 8 * index + 8), with: $0)
        }
    }
}

extension [UInt8] {
    /// Appends `value` in little-endian order.
    package mutating func append(integer value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends a GGUF string: a 64-bit length and the bytes.
    package mutating func append(string bytes: some Collection<UInt8>) {
        append(integer: UInt64(bytes.count))
        append(contentsOf: bytes)
    }
}
