// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target: what the kernels for 4-bit weights have in common. Each set brings
// `halfGroup`, what a half group of sixteen rows adds, and that for AVX-512 `addGroup`, too; NEON brings `blockDots` and
// `addGroup`.

import KernelTable

func halfSums(_ x: QuantizedRows, _ tokens: Int, _ out: UnsafeMutablePointer<Float>) {
    for h in 0..<2 &* tokens &* x.groups {
        let values = UnsafeRawPointer(x.values + h &* halfGroupSize)
        let v = values.loadUnaligned(as: SIMD32<Int8>.self)
        var sum = SIMD16<Int16>.zero
        for i in 0..<16 { sum[i] = Int16(v[i]) &+ Int16(v[i &+ 16]) }
        out[h] = Float(sum.wrappedSum())
    }
}

/// Row `row & 15` of a record's (d, m).
@inline(__always)
private func halfScale(_ record: UnsafeRawPointer, _ offset: Int, _ lane: Int) -> Float {
    let bits = UInt32((record + (offset &+ 2 &* lane)).load(as: UInt16.self))
    let size = Float(bitPattern: (bits & 0x7FFF) &<< 13) * Float(bitPattern: 0x7780_0000)
    return Float(bitPattern: size.bitPattern | (bits & 0x8000) &<< 16)
}

func expandFourBitRow(
    _ w: FourBitRows, _ row: Int, _ count: Int, _ out: UnsafeMutablePointer<Float>
) {
    let lane = row & 15
    var record = w.blocks + (row &>> 4) &* w.blockBytes
    var column = 0
    while column < count {
        let d = halfScale(record, 0, lane), m = halfScale(record, 32, lane)
        for i in 0..<Swift.min(halfGroupSize, count &- column) {
            let at = 64 &* (1 &+ i &>> 3) &+ 4 &* lane &+ (i & 3)
            let byte = record.load(fromByteOffset: at, as: UInt8.self)
            let q = i & 4 == 0 ? byte & 15 : byte &>> 4
            out[column &+ i] = Float(q) * d + m
        }
        record += FourBitRows.recordBytes
        column &+= halfGroupSize
    }
}

/// Every block of which rows are wanted is multiplied as a whole; its rows then go where they belong.
func fourBitDots(
    _ w: FourBitRows, _ rows: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ halves: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    if tokens > 1, rows == nil, first & 15 == 0 {
        return fewTokens(w, first, count, x, tokens, halves, out, outStride)
    }
    var i = 0
    while i < count {
        let row = rows.map { Int($0[i]) } ?? first &+ i
        let block = row &>> 4
        var stored = 16
        for t in 0..<tokens {
            let y = blockDots(w.blocks + block &* w.blockBytes, x.token(t), halves + 2 &* t &* x.groups)
            let out = out + t &* outStride
            if rows == nil, row & 15 == 0, i &+ 16 <= count {
                store(w.bias.map { y + load($0 + row) } ?? y, out + i)
            } else {
                stored = place(y, w, rows, first, block, i, count, out)
            }
        }
        i &+= stored
    }
}

/// Several tokens and adjacent rows: what is unpacked of a block serves all tokens.
private func fewTokens(
    _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int, _ halves: UnsafePointer<Float>,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    withSixteenVectors { sums in
        var i = 0
        while i < count {
            let block = w.blocks + ((first &+ i) &>> 4) &* w.blockBytes
            var t = 0
            while t < tokens {
                let some = Swift.min(tokens &- t, 16)
                blockDots(block, x.token(t), some, halves + 2 &* t &* x.groups, sums)
                for k in 0..<some {
                    finishBlock(sums[k], w, first &+ i, count &- i, out + ((t &+ k) &* outStride &+ i))
                }
                t &+= some
            }
            i &+= 16
        }
    }
}

/// One block times up to sixteen tokens.
@inline(__always)
private func blockDots(
    _ block: UnsafeRawPointer, _ x: QuantizedRows, _ tokens: Int, _ halves: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<F16>
) {
    for t in 0..<tokens { sums[t] = .zero }
    for g in 0..<x.groups {
        addGroup(block + 2 &* g &* FourBitRows.recordBytes, x, g, tokens, halves + 2 &* g, to: sums)
    }
}

#if !KERNELS_AVX512 && !KERNELS_ARM
/// Adds a group of sixteen rows times some tokens to the tokens' sums.
@inline(__always)
func addGroup(
    _ record: UnsafeRawPointer, _ x: QuantizedRows, _ g: Int, _ tokens: Int, _ halves: UnsafePointer<Float>,
    to sums: UnsafeMutablePointer<F16>
) {
    for t in 0..<tokens {
        let values = UnsafeRawPointer(x.values) + (t &* x.groups &+ g) &* groupSize, at = 2 &* t &* x.groups
        let a = halfGroup(record, values, halves[at])
        let b = halfGroup(record + FourBitRows.recordBytes, values + halfGroupSize, halves[at &+ 1])
        sums[t] += (a + b) * x.scales[t &* x.groups &+ g]
    }
}
#endif

#if !KERNELS_ARM
/// One block times one token.
@inline(__always)
func blockDots(_ block: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>) -> F16 {
    var acc = F16.zero
    var record = block
    var values = UnsafeRawPointer(x.values)
    for g in 0..<x.groups {
        let a = halfGroup(record, values, halves[2 &* g])
        let b = halfGroup(record + FourBitRows.recordBytes, values + halfGroupSize, halves[2 &* g &+ 1])
        acc += (a + b) * x.scales[g]
        record += 2 &* FourBitRows.recordBytes
        values += groupSize
    }
    return acc
}
#endif

/// Stores those of the outputs from the i-th on that lie in the block; returns how many.
@inline(never)
private func place(
    _ y: F16, _ w: FourBitRows, _ rows: UnsafePointer<Int32>?, _ first: Int, _ block: Int, _ i: Int,
    _ count: Int, _ out: UnsafeMutablePointer<Float>
) -> Int {
    var j = i
    while j < count {
        let row = rows.map { Int($0[j]) } ?? first &+ j
        guard row &>> 4 == block else { break }
        out[j] = w.bias.map { y[row & 15] + $0[row] } ?? y[row & 15]
        j &+= 1
    }
    return j &- i
}

/// The outputs of one block of a tile, `count` of them wanted.
@inline(__always)
func finishBlock(
    _ y: F16, _ w: FourBitRows, _ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Float>
) {
    if count >= 16 {
        store(w.bias.map { y + load($0 + first) } ?? y, out)
    } else {
        for i in 0..<count { out[i] = w.bias.map { y[i] + $0[first &+ i] } ?? y[i] }
    }
}
