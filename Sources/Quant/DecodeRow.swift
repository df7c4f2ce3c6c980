// SPDX-License-Identifier: Apache-2.0

/// Decodes `count` weights stored in `format` to floats.
///
/// Exact: bit for bit what ggml's reference dequantization gives. Weights of I2_S are not yet scaled, because the scale is
/// not in the row: see `EncodedMatrix`.
/// Cost: O(count), no allocation.
/// - Parameters:
///   - source: `format.byteCount(of: count)` readable bytes of any alignment.
///   - count: a multiple of `format.blockLength`.
///   - output: room for `count` floats, not overlapping `source`.
package func decodeRow(
    _ format: BlockFormat, from source: UnsafeRawPointer, count: Int,
    into output: UnsafeMutablePointer<Float>
) {
    precondition(count % format.blockLength == 0, "a row is a whole number of blocks")
    switch format {
    case .f32:
        UnsafeMutableRawPointer(output).copyMemory(from: source, byteCount: 4 * count)
    case .f16:
        for i in 0..<count { output[i] = source.half(at: 2 * i) }
    case .bf16:
        for i in 0..<count {
            output[i] = floatFromBFloat16(source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self))
        }
    case .i8:
        for i in 0..<count { output[i] = Float(Int8(bitPattern: source.byte(at: i))) }
    case .q4_0: eachBlock(format, source, count, output, decodeQ4_0)
    case .q4_1: eachBlock(format, source, count, output, decodeQ4_1)
    case .q5_0: eachBlock(format, source, count, output, decodeQ5_0)
    case .q5_1: eachBlock(format, source, count, output, decodeQ5_1)
    case .q8_0: eachBlock(format, source, count, output, decodeQ8_0)
    case .q2K: eachBlock(format, source, count, output, decodeQ2K)
    case .q3K: eachBlock(format, source, count, output, decodeQ3K)
    case .q4K: eachBlock(format, source, count, output, decodeQ4K)
    case .q5K: eachBlock(format, source, count, output, decodeQ5K)
    case .q6K: eachBlock(format, source, count, output, decodeQ6K)
    case .iq4NL: eachBlock(format, source, count, output, decodeIQ4NL)
    case .iq4XS: eachBlock(format, source, count, output, decodeIQ4XS)
    case .tq1_0: eachBlock(format, source, count, output, decodeTQ1_0)
    case .tq2_0: eachBlock(format, source, count, output, decodeTQ2_0)
    case .i2S: eachBlock(format, source, count, output, decodeI2S)
    case .mxfp4: eachBlock(format, source, count, output, decodeMXFP4)
    }
}

@inline(__always)
private func eachBlock(
    _ format: BlockFormat, _ source: UnsafeRawPointer, _ count: Int,
    _ output: UnsafeMutablePointer<Float>,
    _ decode: (UnsafeRawPointer, UnsafeMutablePointer<Float>) -> Void
) {
    for block in 0..<(count / format.blockLength) {
        decode(source + block * format.blockBytes, output + block * format.blockLength)
    }
}

/// 32 weights d·(q − 8); byte i holds weights i (low nibble) and i + 16.
@inline(__always)
private func decodeQ4_0(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    for i in 0..<16 {
        let byte = Int32(block.byte(at: 2 + i))
        output[i] = d * Float((byte & 15) - 8)
        output[i + 16] = d * Float((byte >> 4) - 8)
    }
}

/// 32 weights d·q + m, nibbles as in Q4_0.
@inline(__always)
private func decodeQ4_1(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    let m = block.half(at: 2)
    for i in 0..<16 {
        let byte = Int32(block.byte(at: 4 + i))
        output[i] = d * Float(byte & 15) + m
        output[i + 16] = d * Float(byte >> 4) + m
    }
}

/// 32 weights d·(q − 16): nibbles as in Q4_0, and bit i of a 32-bit word is the fifth bit of weight i.
@inline(__always)
private func decodeQ5_0(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    for i in 0..<16 {
        let (first, second) = fiveBits(high: block + 2, low: block + 6, i)
        output[i] = d * Float(first - 16)
        output[i + 16] = d * Float(second - 16)
    }
}

/// 32 weights d·q + m, five bits as in Q5_0.
@inline(__always)
private func decodeQ5_1(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    let m = block.half(at: 2)
    for i in 0..<16 {
        let (first, second) = fiveBits(high: block + 4, low: block + 8, i)
        output[i] = d * Float(first) + m
        output[i + 16] = d * Float(second) + m
    }
}

/// The five-bit values i and i + 16 of a block.
@inline(__always)
private func fiveBits(high: UnsafeRawPointer, low: UnsafeRawPointer, _ i: Int) -> (Int32, Int32) {
    let bits = Int32(littleEndian: high.loadUnaligned(as: Int32.self)) >> Int32(i)
    let byte = Int32(low.byte(at: i))
    return ((byte & 15) | (bits & 1) << 4, (byte >> 4) | (bits >> 16 & 1) << 4)
}

/// 32 weights d·q, one signed byte each.
@inline(__always)
private func decodeQ8_0(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    for i in 0..<32 { output[i] = d * Float(Int8(bitPattern: block.byte(at: 2 + i))) }
}
