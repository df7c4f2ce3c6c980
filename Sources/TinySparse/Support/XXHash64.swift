// SPDX-License-Identifier: Apache-2.0

/// xxHash64 of `bytes`, the checksum of tensors in native files.
///
/// Not cryptographic: it finds damage, not forgery. Cost: O(n), four independent
/// lanes of eight bytes, faster than memory delivers them.
/// Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
package func xxHash64(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    guard let base = bytes.baseAddress else { return finish(seed &+ prime5, base: nil, count: 0) }
    let count = bytes.count
    var offset = 0
    var hash: UInt64
    if count >= 32 {
        var lane0 = seed &+ prime1 &+ prime2
        var lane1 = seed &+ prime2
        var lane2 = seed
        var lane3 = seed &- prime1
        while offset <= count - 32 {
            lane0 = round(lane0, word(base, offset))
            lane1 = round(lane1, word(base, offset + 8))
            lane2 = round(lane2, word(base, offset + 16))
            lane3 = round(lane3, word(base, offset + 24))
            offset += 32
        }
        hash = rotate(lane0, 1) &+ rotate(lane1, 7) &+ rotate(lane2, 12) &+ rotate(lane3, 18)
        for lane in [lane0, lane1, lane2, lane3] {
            hash = (hash ^ round(0, lane)) &* prime1 &+ prime4
        }
    } else {
        hash = seed &+ prime5
    }
    return finish(hash &+ UInt64(count), base: base + offset, count: count - offset)
}

private let prime1: UInt64 = 0x9e37_79b1_85eb_ca87
private let prime2: UInt64 = 0xc2b2_ae3d_27d4_eb4f
private let prime3: UInt64 = 0x1656_67b1_9e37_79f9
private let prime4: UInt64 = 0x85eb_ca77_c2b2_ae63
private let prime5: UInt64 = 0x27d4_eb2f_1656_67c5

@inline(__always)
private func rotate(_ x: UInt64, _ bits: UInt64) -> UInt64 { x &<< bits | x &>> (64 &- bits) }

@inline(__always)
private func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
    rotate(lane &+ input &* prime2, 31) &* prime1
}

@inline(__always)
private func word(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
}

/// Mixes in the last bytes, fewer than 32, and spreads every bit over the result.
private func finish(_ start: UInt64, base: UnsafeRawPointer?, count: Int) -> UInt64 {
    var hash = start
    if let base {
        var offset = 0
        while offset + 8 <= count {
            hash = rotate(hash ^ round(0, word(base, offset)), 27) &* prime1 &+ prime4
            offset += 8
        }
        if offset + 4 <= count {
            let half = UInt32(
                littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            hash = rotate(hash ^ UInt64(half) &* prime1, 23) &* prime2 &+ prime3
            offset += 4
        }
        while offset < count {
            let byte = UInt64(base.load(fromByteOffset: offset, as: UInt8.self))
            hash = rotate(hash ^ byte &* prime5, 11) &* prime1
            offset += 1
        }
    }
    hash = (hash ^ hash >> 33) &* prime2
    hash = (hash ^ hash >> 29) &* prime3
    return hash ^ hash >> 32
}
