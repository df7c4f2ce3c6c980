// SPDX-License-Identifier: Apache-2.0

// Formats of ternary weights: −1, 0 and 1, stored as 0, 1 and 2. Source of TQ1_0 and TQ2_0: ggml's reference decoders;
// of I2_S: `quantize_i2_s` of bitnet.cpp for x86.

/// 256 weights d·(digit − 1). A byte holds five digits to base 3 as a fraction of 256, the first one the most significant:
/// 32 bytes the weights 0...159, 16 bytes 160...239; four bytes hold four digits each.
@inline(__always)
func decodeTQ1_0(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 52)
    decodeDigits(block, bytes: 32, digits: 5, d, output)
    decodeDigits(block + 32, bytes: 16, digits: 5, d, output + 160)
    decodeDigits(block + 48, bytes: 4, digits: 4, d, output + 240)
}

/// Digit n of byte i is weight n·bytes + i.
@inline(__always)
private func decodeDigits(
    _ source: UnsafeRawPointer, bytes: Int, digits: Int, _ d: Float, _ output: UnsafeMutablePointer<Float>
) {
    for i in 0..<bytes {
        var fraction = UInt32(source.byte(at: i))
        for n in 0..<digits {
            fraction *= 3
            output[n * bytes + i] = d * Float(Int32(fraction >> 8) - 1)
            fraction &= 255
        }
    }
}

/// 256 weights d·(q − 1). Each half of the block has 32 bytes of bit pairs, the lowest pair of all bytes first.
@inline(__always)
func decodeTQ2_0(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 64)
    for quarter in 0..<8 {
        let bytes = block + 32 * (quarter >> 2)
        let shift = UInt8(2 * (quarter & 3))
        for i in 0..<32 {
            output[32 * quarter + i] = d * Float(Int32(bytes.byte(at: i) >> shift & 3) - 1)
        }
    }
}

/// 128 weights q − 1 out of 32 bytes of bit pairs, the highest pair of all bytes first. A pair of ones stands for nothing:
/// it becomes NaN, so that a tensor of another layout is refused.
@inline(__always)
func decodeI2S(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    for quarter in 0..<4 {
        let shift = UInt8(6 - 2 * quarter)
        for i in 0..<32 {
            let pair = block.byte(at: i) >> shift & 3
            output[32 * quarter + i] = pair == 3 ? .nan : Float(pair) - 1
        }
    }
}
