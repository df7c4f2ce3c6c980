// SPDX-License-Identifier: Apache-2.0

/// Quantizes a row to signed bytes, symmetrically:
/// amax = max |w|, scale = amax / 127, q = round-half-even(w · (127 / amax)).
///
/// A row whose largest magnitude is below 1e-30 becomes zeros with scale 0.
/// Cost: two passes over the row, no allocation; both loops vectorize.
/// - Parameters:
///   - source: `count` floats.
///   - output: room for `stride` bytes; those from `count` on become zeros.
/// - Returns: the scale, or nil if a weight is infinite or not a number (the
///   output is then zeros).
package func quantizeRow(
    _ source: UnsafePointer<Float>, count: Int,
    into output: UnsafeMutablePointer<Int8>, stride: Int
) -> Float? {
    precondition(count <= stride)
    let amax = Float(bitPattern: UInt32(bitPattern: largestMagnitudeBits(source, count)))
    guard amax.isFinite, amax >= 1e-30 else {
        output.update(repeating: 0, count: stride)
        return amax.isFinite ? 0 : nil
    }
    let inverse = 127 / amax
    for i in 0..<count {
        output[i] = Int8(truncatingIfNeeded: roundedHalfEven(source[i] * inverse))
    }
    (output + count).update(repeating: 0, count: stride - count)
    return amax / 127
}

/// The bits of the largest |w|. Bits of non-negative floats order as the floats
/// do, and infinities and NaNs are above all others, so that none gets lost.
@inline(__always)
private func largestMagnitudeBits(_ source: UnsafePointer<Float>, _ count: Int) -> Int32 {
    var largest: Int32 = 0
    for i in 0..<count {
        largest = max(largest, Int32(bitPattern: source[i].bitPattern & 0x7fff_ffff))
    }
    return largest
}

/// `x` rounded to the nearest integer, ties to even, clamped to -127...127.
///
/// Adding 1.5·2²³ leaves the rounded integer in the low bits; unlike `rounded()`
/// this needs no instruction beyond addition. Exact for |x| < 2²².
@inline(__always)
private func roundedHalfEven(_ x: Float) -> Int32 {
    let magic: Float = 12_582_912
    let q = Int32(bitPattern: (x + magic).bitPattern) &- 0x4b40_0000
    return min(max(q, -127), 127)
}
