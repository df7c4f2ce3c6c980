// SPDX-License-Identifier: Apache-2.0

/// Bytes somewhere in memory, valid only during the call they are passed to.
typealias Bytes = UnsafeBufferPointer<UInt8>

extension UnsafeBufferPointer<UInt8> {
    /// The bytes of a range of this buffer, indexed from zero.
    @inline(__always)
    func part(_ range: Range<Int>) -> Bytes { Bytes(rebasing: self[range]) }
}

/// Byte strings, numbered in the order of insertion; all bytes lie in one array.
///
/// Uses the standard library's seeded `Hasher`, so that neither a hostile vocabulary nor a hostile
/// text can make strings collide. Insertion and look-up are linear in the string's length.
struct ByteStringTable: Sendable {
    private var pool: [UInt8] = []
    /// Where string i ends in the pool; it begins where string i - 1 ends.
    private var ends: [Int] = []
    /// Open addressing with linear probing. A power of two, at most half full.
    private var slots: [Slot]

    /// The number of a string, -1 where there is none, beside the hash, so that one read of memory decides most look-ups.
    private struct Slot {
        var hash: UInt32 = 0
        var number: Int32 = -1
    }

    /// - Parameter capacity: the number of strings expected.
    init(capacity: Int = 0) {
        var slotCount = 64
        while slotCount < capacity * 2 { slotCount *= 2 }
        slots = Array(repeating: Slot(), count: slotCount)
        ends.reserveCapacity(capacity)
    }

    var count: Int { ends.count }

    /// The number of a string; nil if it is not in the table.
    func find(_ string: Bytes) -> Int? {
        let number = slots[probe(string, Self.hash(string))].number
        return number < 0 ? nil : Int(number)
    }

    func find(_ string: [UInt8]) -> Int? { string.withUnsafeBufferPointer { find($0) } }

    /// The number of a string, which is inserted if it is new.
    mutating func insert(_ string: Bytes) -> (number: Int, isNew: Bool) {
        let hash = Self.hash(string)
        let slot = probe(string, hash)
        if slots[slot].number >= 0 { return (Int(slots[slot].number), false) }
        append(string, hash, slot)
        return (ends.count - 1, true)
    }

    /// Numbers a string anew even if it is in the table already; looking it up finds the last.
    mutating func append(_ string: [UInt8]) {
        string.withUnsafeBufferPointer {
            let hash = Self.hash($0)
            append($0, hash, probe($0, hash))
        }
    }

    private mutating func append(_ string: Bytes, _ hash: UInt32, _ slot: Int) {
        slots[slot] = Slot(hash: hash, number: Int32(ends.count))
        pool.append(contentsOf: string)
        ends.append(pool.count)
        if ends.count * 2 > slots.count { grow() }
    }

    mutating func insert(_ string: [UInt8]) -> (number: Int, isNew: Bool) {
        string.withUnsafeBufferPointer { insert($0) }
    }

    /// String `number`, which must be in the table.
    func string(_ number: Int) -> ArraySlice<UInt8> { pool[start(number)..<ends[number]] }

    private func start(_ number: Int) -> Int { number == 0 ? 0 : ends[number - 1] }

    private static func hash(_ string: Bytes) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(bytes: UnsafeRawBufferPointer(string))
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    /// The slot that holds the string, or the free slot where it belongs.
    private func probe(_ string: Bytes, _ hash: UInt32) -> Int {
        let mask = slots.count - 1
        var slot = Int(hash) & mask
        while slots[slot].number >= 0 {
            if slots[slot].hash == hash, equals(Int(slots[slot].number), string) { return slot }
            slot = (slot + 1) & mask
        }
        return slot
    }

    private func equals(_ number: Int, _ string: Bytes) -> Bool {
        let start = start(number)
        guard ends[number] - start == string.count else { return false }
        return pool.withUnsafeBytes { pool in
            let string = UnsafeRawBufferPointer(string)
            var i = 0
            while i + 8 <= string.count {
                let word = string.loadUnaligned(fromByteOffset: i, as: UInt64.self)
                guard pool.loadUnaligned(fromByteOffset: start + i, as: UInt64.self) == word else { return false }
                i += 8
            }
            while i < string.count {
                guard pool[start + i] == string[i] else { return false }
                i += 1
            }
            return true
        }
    }

    private mutating func grow() {
        var larger = Array(repeating: Slot(), count: slots.count * 2)
        let mask = larger.count - 1
        for old in slots where old.number >= 0 {
            // No two slots have equal strings.
            var slot = Int(old.hash) & mask
            while larger[slot].number >= 0 { slot = (slot + 1) & mask }
            larger[slot] = old
        }
        slots = larger
    }
}
