// SPDX-License-Identifier: Apache-2.0

/// Decodes `count` weights stored in `format` to floats.
///
/// Exact: bit for bit what ggml's reference dequantization gives.
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
    case .q8_0: eachBlock(format, source, count, output, decodeQ8_0)
    case .q4K: eachBlock(format, source, count, output, decodeQ4K)
    case .q5K: eachBlock(format, source, count, output, decodeQ5K)
    case .q6K: eachBlock(format, source, count, output, decodeQ6K)
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

/// 32 weights d·q, one signed byte each.
@inline(__always)
private func decodeQ8_0(_ block: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>) {
    let d = block.half(at: 0)
    for i in 0..<32 { output[i] = d * Float(Int8(bitPattern: block.byte(at: 2 + i))) }
}
