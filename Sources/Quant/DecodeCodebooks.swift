// SPDX-License-Identifier: Apache-2.0

// Formats whose nibbles stand for entries of a table. Source: `ggml-common.h` and ggml's reference decoders.

/// The sixteen levels of IQ4_NL and IQ4_XS.
private let iq4Levels: [16 of Int8] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

/// Twice the sixteen values of a 4-bit float (E2M1).
private let fp4Levels: [16 of Int8] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

/// 32 weights scale·level; byte i of 16 holds weights i (low nibble) and i + 16.
@inline(__always)
private func decodeNibbles(
    _ nibbles: UnsafeRawPointer, _ scale: Float, _ levels: [16 of Int8], _ output: UnsafeMutablePointer<Float>
) {
    for i in 0..<16 {
        let byte = Int(nibbles.byte(at: i))
        output[i] = scale * Float(levels[byte & 15])
        output[i + 16] = scale * Float(levels[byte >> 4])
    }
}

/// 32 weights d·level.
@inline(__always)
func decodeIQ4NL(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    decodeNibbles(block + 2, block.half(at: 0), iq4Levels, output)
}

/// 256 weights (d·(scale − 32))·level, eight sub-blocks of 32. Of the 6-bit scales, four bytes hold the low nibbles, and
/// a 16-bit word before them the upper bit pairs.
@inline(__always)
func decodeIQ4XS(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    let uppers = UInt16(littleEndian: block.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    for sub in 0..<8 {
        let lower = Int32(block.byte(at: 4 + sub / 2) >> UInt8(4 * (sub & 1)) & 15)
        let upper = Int32(uppers >> UInt16(2 * sub) & 3)
        let scale = d * Float((lower | upper << 4) - 32)
        decodeNibbles(block + 8 + 16 * sub, scale, iq4Levels, output + 32 * sub)
    }
}

/// 32 weights 2^(e − 127)·v with v a 4-bit float. As in ggml, the exponent 255 is no NaN.
@inline(__always)
func decodeMXFP4(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let exponent = UInt32(block.byte(at: 0))
    // 2^(e − 128), for levels twice as large; below 2^-126 it is subnormal.
    let bits = exponent < 2 ? 0x20_0000 << exponent : (exponent - 1) << 23
    decodeNibbles(block + 1, Float(bitPattern: bits), fp4Levels, output)
}
