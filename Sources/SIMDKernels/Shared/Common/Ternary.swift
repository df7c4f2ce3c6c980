// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target: products of ternary weights. A few rows are unpacked to int8 ones, in
// memory that stays in the cache, and multiplied by the set's own `rowDots`: the bits are int8's.

import KernelTable

func ternaryDots(
    _ w: TernaryRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ scratch: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    // As many as `rowDots` reads side by side.
    let atOnce = tokens == 1 ? 8 : TernaryRows.rowsAtOnce
    let unpackedStride = TernaryRows.unpackedStride(w.stride)
    let rows = scratch.assumingMemoryBound(to: Int8.self)
    let scales = (scratch + TernaryRows.rowsAtOnce &* unpackedStride).assumingMemoryBound(to: Float.self)
    let biases = scales + TernaryRows.rowsAtOnce
    var i = 0
    while i < count {
        let some = Swift.min(atOnce, count &- i)
        for k in 0..<some {
            let row = list.map { Int($0[i &+ k]) } ?? first &+ i &+ k
            // A list's next rows may be anywhere.
            let next = list.map { Int($0[Swift.min(i &+ k &+ atOnce, count &- 1)]) } ?? row &+ atOnce
            unpack(w, row, next, rows + k &* unpackedStride)
            scales[k] = w.scales[row]
            if let bias = w.bias { biases[k] = bias[row] }
        }
        let unpacked = WeightRows(
            weights: rows, stride: unpackedStride, scales: scales, bias: w.bias == nil ? nil : UnsafePointer(biases))
        rowDots(unpacked, nil, 0, some, x, tokens, out + i, outStride)
        i &+= some
    }
}

func unpackTernaryRows(_ w: TernaryRows, _ first: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    let unpackedStride = TernaryRows.unpackedStride(w.stride)
    for k in 0..<count { unpack(w, first &+ k, first &+ k &+ count, out + k &* unpackedStride) }
}

/// Unpacks a row, and prefetches another, which may be past the end: prefetching unmapped memory does nothing.
@inline(__always)
private func unpack(_ w: TernaryRows, _ row: Int, _ next: Int, _ out: UnsafeMutableRawPointer) {
    var from = w.weights + row &* w.stride, to = out
    let ahead = (next &- row) &* w.stride
    let end = from + w.stride
    while from < end {
        prefetch(from + ahead)
        let v = from.loadUnaligned(as: SIMD16<UInt32>.self)
        storeLowest(v, to)
        storeLowest(v &>> 2, to + 64)
        storeLowest(v &>> 4, to + 128)
        storeLowest(v &>> 6, to + 192)
        from += 64
        to += 256
    }
}

/// The lowest two bits of 64 bytes, less one. (In lanes of 32 bits, because Swift computes those of 8 one by one: 127 is added
/// and 128 taken off again, so that no byte borrows from another.)
@inline(__always)
private func storeLowest(_ v: SIMD16<UInt32>, _ out: UnsafeMutableRawPointer) {
    let sums = (v & 0x0303_0303) &+ 0x7F7F_7F7F
    out.storeBytes(of: sums ^ 0x8080_8080, as: SIMD16<UInt32>.self)
}
