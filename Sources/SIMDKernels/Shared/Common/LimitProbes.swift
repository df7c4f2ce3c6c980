// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target. Each set defines `multiplyAdds`, with as many sums as its products need
// to overlap and its registers hold: one loop of twelve sums for all measured AVX2 30 % too low.

import KernelTable

func readBytes(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var a = SIMD8<UInt64>.zero, b = a, c = a, d = a
    var p = bytes.baseAddress!
    for _ in 0..<bytes.count / 256 {
        a &+= p.loadUnaligned(as: SIMD8<UInt64>.self)
        b &+= (p + 64).loadUnaligned(as: SIMD8<UInt64>.self)
        c &+= (p + 128).loadUnaligned(as: SIMD8<UInt64>.self)
        d &+= (p + 192).loadUnaligned(as: SIMD8<UInt64>.self)
        p += 256
    }
    let sums = (a &+ b) &+ (c &+ d)
    var total: UInt64 = 0
    for i in 0..<8 { total &+= sums[i] }
    for byte in bytes[(bytes.count & ~255)...] { total &+= UInt64(byte) }
    return total
}
