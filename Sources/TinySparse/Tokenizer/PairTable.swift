// SPDX-License-Identifier: Apache-2.0

/// What pairs of symbols merge into: a hash table with open addressing and linear probing, at most half full.
///
/// The hash is a multiplication by an odd number that differs from process to process, so that no vocabulary can be made
/// whose pairs collide. Source: Dietzfelbinger et al. 1997 (doi:10.1006/jagm.1997.0873).
struct PairTable: Sendable {
    struct Merge {
        /// How early the pair merges, the lower the earlier; not negative.
        var rank: Int32
        var symbol: Int32
    }

    private struct Slot {
        /// No pair: symbols are not negative.
        static let free = UInt64.max

        var pair = free
        var merge = Merge(rank: 0, symbol: 0)
    }

    private var slots: [Slot]
    private var count = 0
    private let multiplier: UInt64

    /// - Parameter capacity: the number of pairs expected.
    init(capacity: Int) {
        var slotCount = 64
        while slotCount < capacity * 2 { slotCount *= 2 }
        slots = Array(repeating: Slot(), count: slotCount)
        // The standard library's hash is seeded anew in each process. An `Int` can be half as wide as the multiplier.
        let halves = (0..<2).map { UInt64(UInt32(truncatingIfNeeded: $0.hashValue)) }
        multiplier = halves[0] << 32 | halves[1] | 1
    }

    /// What two symbols merge into; nil if they do not merge. Constant time.
    @inline(__always)
    func find(_ left: Int32, _ right: Int32) -> Merge? {
        let slot = slots[probe(Self.pair(left, right))]
        return slot.pair == Slot.free ? nil : slot.merge
    }

    /// Sets what two symbols merge into, which must not be negative.
    mutating func set(_ left: Int32, _ right: Int32, _ merge: Merge) {
        if count * 2 >= slots.count { grow() }
        let pair = Self.pair(left, right)
        let slot = probe(pair)
        if slots[slot].pair == Slot.free { count += 1 }
        slots[slot] = Slot(pair: pair, merge: merge)
    }

    @inline(__always)
    private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// The slot that holds the pair, or the free slot where it belongs.
    @inline(__always)
    private func probe(_ pair: UInt64) -> Int {
        let mask = slots.count - 1
        // The upper bits of the product depend on all bits of the pair.
        var slot = Int(truncatingIfNeeded: (pair &* multiplier) >> 32) & mask
        while slots[slot].pair != pair, slots[slot].pair != Slot.free { slot = (slot + 1) & mask }
        return slot
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(), count: old.count * 2)
        for slot in old where slot.pair != Slot.free { slots[probe(slot.pair)] = slot }
    }
}
