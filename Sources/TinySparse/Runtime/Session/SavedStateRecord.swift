// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A record of a saved session, in memory: keys and values of some positions of a layer (KVCacheRecords.swift), and behind
/// them their xxHash64, seeded by the hash of the tokens, the layer and the first position. What is damaged, misplaced or out
/// of another file is found by it.
final class SavedStateRecord {
    private let cache: KVCache
    private let seed: UInt64
    private let memory: UnsafeMutableRawBufferPointer

    /// - Parameters:
    ///   - positions: most positions of a record.
    ///   - seed: the hash of the tokens.
    init(_ cache: KVCache, positions: Int, seed: UInt64) {
        self.cache = cache
        self.seed = seed
        // Aligned for all numbers.
        memory = .allocate(byteCount: cache.recordBytes(positions) + 8, alignment: 64)
    }

    deinit { memory.deallocate() }

    /// Bytes of a record of `count` positions, with its hash.
    func size(_ count: Int) -> Int { cache.recordBytes(count) + 8 }

    /// The bytes of a record of `count` positions.
    func bytes(_ count: Int) -> UnsafeMutableRawBufferPointer { .init(rebasing: memory[..<size(count)]) }

    /// Makes the record of some positions.
    /// - Throws: `FormatError` for keys or values that are not finite.
    func fill(_ layer: Int, _ positions: Range<Int>, _ path: String) throws(FormatError) {
        cache.write(layer, positions, to: memory.baseAddress!)
        guard cache.isValid(memory.baseAddress!, positions.count) else {
            throw FormatError(
                .notFinite, path: path, item: "layer \(layer), position \(positions.lowerBound)",
                "cannot save keys or values that are not finite; the model's weights are damaged or too large: "
                    + "get or convert the model again")
        }
        let hash = hash(layer, positions.lowerBound, positions.count)
        memory.storeBytes(of: hash.littleEndian, toByteOffset: size(positions.count) - 8, as: UInt64.self)
    }

    /// Gives the cache the first positions of the record, of `stored` that it has.
    /// - Throws: `FormatError` for what was not written by `fill`, for these positions.
    func take(_ layer: Int, _ positions: Range<Int>, stored: Int, _ path: String) throws(FormatError) {
        let place = "layer \(layer), position \(positions.lowerBound)"
        let written = memory.loadUnaligned(fromByteOffset: size(stored) - 8, as: UInt64.self)
        guard UInt64(littleEndian: written) == hash(layer, positions.lowerBound, stored) else {
            throw SavedStateHeader.problem(.checksum, path, place, "is damaged")
        }
        guard cache.isValid(memory.baseAddress!, stored) else {
            throw SavedStateHeader.problem(.notFinite, path, place, "has keys or values that no session keeps")
        }
        cache.read(layer, positions, stored: stored, from: memory.baseAddress!)
    }

    private func hash(_ layer: Int, _ position: Int, _ count: Int) -> UInt64 {
        let bytes = UnsafeRawBufferPointer(rebasing: memory[..<(size(count) - 8)])
        return xxHash64(bytes, seed: seed &+ UInt64(layer) << 32 &+ UInt64(position))
    }
}
