// SPDX-License-Identifier: Apache-2.0

// The "K" formats: super-blocks of 256 weights whose sub-blocks have quantized
// scales of their own. Source: `ggml-common.h` and ggml's reference decoders.

/// 256 weights (d·scale)·q − (dmin·min), sixteen sub-blocks of 16; scale and minimum share a byte. Each half of the block
/// has 32 bytes of bit pairs, the lowest pair of all bytes first.
@inline(__always)
func decodeQ2K(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 80)
    let dmin = block.half(at: 82)
    for sub in 0..<16 {
        let byte = block.byte(at: sub)
        let (scale, min) = (d * Float(byte & 15), dmin * Float(byte >> 4))
        let pairs = PairsOf16(sub, in: block + 16)
        let out = output + 16 * sub
        for i in 0..<16 { out[i] = scale * Float(pairs[i]) - min }
    }
}

/// 256 weights (d·(scale − 32))·(q − 4), sixteen sub-blocks of 16; bit pairs as in Q2_K, and bit j of byte i of the 32 high
/// bytes is the third bit of weight 32j + i.
@inline(__always)
func decodeQ3K(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 108)
    let scales = block + 96
    for sub in 0..<16 {
        let lower = (scales.byte(at: sub & 7) >> UInt8(4 * (sub >> 3))) & 15
        let upper = (scales.byte(at: 8 + sub & 3) >> UInt8(2 * (sub >> 2))) & 3
        let scale = d * Float(Int32(lower | upper << 4) - 32)
        let pairs = PairsOf16(sub, in: block + 32)
        let high = block + 16 * (sub & 1)
        let out = output + 16 * sub
        for i in 0..<16 {
            let third = (high.byte(at: i) >> UInt8(sub >> 1)) & 1
            out[i] = scale * Float(Int32(pairs[i] | third << 2) - 4)
        }
    }
}

/// The bit pairs of sub-block `sub` (0...15) of a Q2_K or Q3_K block.
private struct PairsOf16 {
    private let bytes: UnsafeRawPointer
    private let shift: UInt8

    @inline(__always)
    init(_ sub: Int, in pairs: UnsafeRawPointer) {
        bytes = pairs + 32 * (sub >> 3) + 16 * (sub & 1)
        shift = UInt8(2 * (sub >> 1 & 3))
    }

    @inline(__always)
    subscript(i: Int) -> UInt8 { (bytes.byte(at: i) >> shift) & 3 }
}

/// The 6-bit scale and minimum of sub-block `j` (0...7) of a Q4_K or Q5_K block,
/// out of 12 bytes at `scales`: the first eight bytes hold the low six bits of
/// scales 0...3 and minima 0...3, and in their two upper bits the upper bits of
/// the rest, whose nibbles are in the last four bytes.
@inline(__always)
private func scaleAndMin(_ scales: UnsafeRawPointer, _ j: Int) -> (scale: Float, min: Float) {
    if j < 4 {
        return (Float(scales.byte(at: j) & 63), Float(scales.byte(at: j + 4) & 63))
    }
    let low = scales.byte(at: j + 4)
    let scale = (low & 15) | (scales.byte(at: j - 4) >> 6) << 4
    let min = (low >> 4) | (scales.byte(at: j) >> 6) << 4
    return (Float(scale), Float(min))
}

/// 256 weights (d·scale)·q − (dmin·min), eight sub-blocks of 32; each 32 bytes
/// hold two sub-blocks, the first in the low nibbles.
@inline(__always)
func decodeQ4K(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    let dmin = block.half(at: 2)
    for pair in 0..<4 {
        let (scale0, min0) = scaleAndMin(block + 4, 2 * pair)
        let (scale1, min1) = scaleAndMin(block + 4, 2 * pair + 1)
        let (d0, m0, d1, m1) = (d * scale0, dmin * min0, d * scale1, dmin * min1)
        let quants = block + 16 + 32 * pair
        let out = output + 64 * pair
        for i in 0..<32 {
            let byte = quants.byte(at: i)
            out[i] = d0 * Float(byte & 15) - m0
            out[i + 32] = d1 * Float(byte >> 4) - m1
        }
    }
}

/// As Q4_K with a fifth bit: bit j of byte i of the 32 high bytes belongs to
/// weight i of sub-block j.
@inline(__always)
func decodeQ5K(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    let dmin = block.half(at: 2)
    let high = block + 16
    for pair in 0..<4 {
        let (scale0, min0) = scaleAndMin(block + 4, 2 * pair)
        let (scale1, min1) = scaleAndMin(block + 4, 2 * pair + 1)
        let (d0, m0, d1, m1) = (d * scale0, dmin * min0, d * scale1, dmin * min1)
        let quants = block + 48 + 32 * pair
        let out = output + 64 * pair
        for i in 0..<32 {
            let byte = quants.byte(at: i)
            let fifth = high.byte(at: i) >> UInt8(2 * pair)
            out[i] = d0 * Float((byte & 15) | (fifth & 1) << 4) - m0
            out[i + 32] = d1 * Float((byte >> 4) | (fifth & 2) << 3) - m1
        }
    }
}

/// 256 weights (d·scale)·(q − 32), sixteen sub-blocks of 16 with signed byte
/// scales. Each half of the block has 64 bytes of low nibbles and 32 bytes of
/// upper bit pairs.
@inline(__always)
func decodeQ6K(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 208)
    for half in 0..<2 {
        let low = block + 64 * half
        let high = block + 128 + 32 * half
        for quarter in 0..<4 {
            let nibbles = low + 32 * (quarter & 1)
            let nibbleShift = UInt8(4 * (quarter >> 1))
            let out = output + 128 * half + 32 * quarter
            for part in 0..<2 {
                let scaleIndex = 8 * half + 2 * quarter + part
                let scale = d * Float(Int8(bitPattern: block.byte(at: 192 + scaleIndex)))
                for i in (16 * part)..<(16 * part + 16) {
                    let lower = (nibbles.byte(at: i) >> nibbleShift) & 15
                    let upper = (high.byte(at: i) >> UInt8(2 * quarter)) & 3
                    out[i] = scale * Float(Int32(lower | upper << 4) - 32)
                }
            }
        }
    }
}
