// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A file of the reference's function goldens: fields of a byte count and that many bytes, padded to
/// four (Tests/EndToEndTests/Reference/README.md). Both test targets have this file, by a link.
struct GoldenFile {
    struct BadFile: Error { let name: String }

    private let name: String
    private let fields: [Data]
    private var next = 0

    init(_ name: String) throws {
        self.name = name
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("EndToEndTests/Reference/fixtures/functions")
        let data = try Data(contentsOf: folder.appendingPathComponent(name + ".bin"))
        var fields: [Data] = []
        var at = 0
        while at < data.count {
            guard at + 4 <= data.count else { throw BadFile(name: name) }
            let count = (0..<4).reduce(0) { $0 | Int(data[at + $1]) << (8 * $1) }
            guard at + 4 + count <= data.count else { throw BadFile(name: name) }
            fields.append(data.subdata(in: at + 4..<at + 4 + count))
            at += 4 + (count + 3) / 4 * 4
        }
        guard !fields.isEmpty else { throw BadFile(name: name) }
        self.fields = fields
    }

    /// Whether there is another case.
    var hasMore: Bool { next < fields.count }

    private mutating func field<T>(of type: T.Type) -> [T] {
        defer { next += 1 }
        return fields[next].withUnsafeBytes { bytes in
            let size = MemoryLayout<T>.size
            return (0..<bytes.count / size).map { bytes.loadUnaligned(fromByteOffset: $0 * size, as: T.self) }
        }
    }

    mutating func doubles() -> [Double] { field(of: Double.self) }
    mutating func uint64s() -> [UInt64] { field(of: UInt64.self) }
    mutating func floats() -> [Float] { field(of: Float.self) }
    mutating func float() -> Float { floats()[0] }
    mutating func halves() -> [UInt16] { field(of: UInt16.self) }
    mutating func bytes() -> [Int8] { field(of: Int8.self) }
    mutating func int32s() -> [Int32] { field(of: Int32.self) }
    mutating func ints() -> [Int] { int32s().map(Int.init) }
}
