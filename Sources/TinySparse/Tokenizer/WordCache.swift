// SPDX-License-Identifier: Apache-2.0

/// The ids of words already seen in a text: natural text repeats its words, and a look-up is far
/// cheaper than merging.
///
/// A hash table that forgets: a word is within a few slots of its place or nowhere, so that a look-up takes constant time
/// whatever the text, without a slow hash.
struct WordCache {
    /// Longer words hardly repeat.
    private static let longestWord = 128
    /// The cache starts afresh beyond 1 MiB of records.
    private static let recordLimit = 1 << 17
    /// How many slots a word can be in.
    private static let reach = 8

    private struct Slot {
        var hash: UInt32 = 0
        /// Where the record begins; -1 if the slot is free.
        var record: Int32 = -1
    }

    /// Open addressing with linear probing. A power of two, at most half full.
    private var slots = Array(repeating: Slot(), count: 256)
    private var count = 0
    /// For each word its length and the number of its ids, its bytes, eight in a unit, and its ids, one in a unit but for
    /// the first, which is the upper half of the first unit: most words are one token.
    private var records: [UInt64] = []

    @inline(__always)
    private static func hash(_ word: Bytes) -> UInt32 {
        var hash = UInt64(word.count)
        var position = 0
        while position < word.count {
            // The digits of the golden ratio; both halves of the product, so that every bit counts.
            let product = (hash ^ word.eightBytes(from: position)).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            hash = product.high ^ product.low
            position += 8
        }
        return UInt32(truncatingIfNeeded: hash)
    }

    /// Appends the ids of a word to `output` if it is known.
    @inline(__always)
    func append(_ word: Bytes, to output: inout [Int32]) -> Bool {
        guard word.count <= Self.longestWord else { return false }
        let hash = Self.hash(word)
        let mask = slots.count - 1
        for distance in 0..<Self.reach {
            let slot = slots[(Int(hash) + distance) & mask]
            guard slot.record >= 0 else { return false }
            guard slot.hash == hash, let ids = ids(of: word, at: Int(slot.record)) else { continue }
            let header = records[Int(slot.record)]
            if header >> 8 & 0xFF > 0 { output.append(Int32(truncatingIfNeeded: header >> 32)) }
            for id in ids { output.append(Int32(truncatingIfNeeded: records[id])) }
            return true
        }
        return false
    }

    /// Where the second and further ids of a word are, if the record is the word's.
    @inline(__always)
    private func ids(of word: Bytes, at record: Int) -> Range<Int>? {
        let header = records[record]
        guard Int(header & 0xFF) == word.count else { return nil }
        var unit = record + 1
        var position = 0
        while position < word.count {
            guard records[unit] == word.eightBytes(from: position) else { return nil }
            position += 8
            unit += 1
        }
        return unit..<unit + max(0, Int(header >> 8 & 0xFF) - 1)
    }

    /// Remembers the ids of a word that is not known.
    mutating func insert(_ word: Bytes, _ ids: ArraySlice<Int32>) {
        guard word.count <= Self.longestWord, ids.count <= 0xFF else { return }
        let hash = Self.hash(word)
        if records.count > Self.recordLimit {
            records.removeAll(keepingCapacity: true)
            for slot in slots.indices { slots[slot] = Slot() }
            count = 0
        }
        if count * 2 >= slots.count { grow() }
        place(Slot(hash: hash, record: Int32(records.count)))
        let first = UInt64(UInt32(bitPattern: ids.first ?? 0))
        records.append(first << 32 | UInt64(ids.count) << 8 | UInt64(word.count))
        var position = 0
        while position < word.count {
            records.append(word.eightBytes(from: position))
            position += 8
        }
        for id in ids.dropFirst() { records.append(UInt64(UInt32(bitPattern: id))) }
    }

    /// Puts a slot at its place or near; if all is taken there, it displaces what is at its place.
    private mutating func place(_ slot: Slot) {
        let mask = slots.count - 1
        let home = Int(slot.hash) & mask
        for distance in 0..<Self.reach where slots[(home + distance) & mask].record < 0 {
            slots[(home + distance) & mask] = slot
            count += 1
            return
        }
        slots[home] = slot
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(), count: old.count * 2)
        count = 0
        for slot in old where slot.record >= 0 { place(slot) }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Eight bytes as one number; at the end of the buffer fewer, followed by zeros.
    @inline(__always)
    func eightBytes(from start: Int) -> UInt64 {
        let bytes = UnsafeRawBufferPointer(self)
        let rest = count - start
        if rest >= 8 { return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)) }
        if count >= 8 {
            let last = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self))
            return last >> (8 * UInt64(8 - rest))
        }
        if rest >= 4 {
            let first = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
            let last = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
            return UInt64(first) | UInt64(last) << (8 * UInt64(rest - 4))
        }
        var number: UInt64 = 0
        for position in (start..<count).reversed() { number = number << 8 | UInt64(self[position]) }
        return number
    }
}
