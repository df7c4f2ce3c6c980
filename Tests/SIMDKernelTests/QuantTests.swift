// SPDX-License-Identifier: Apache-2.0

import Quant
import XCTest

final class QuantTests: XCTestCase {
    /// Every block format against the `dequantize` of Python's gguf package.
    ///
    /// Both sides make the same 16 blocks with the same generator; Python's
    /// result is kept as a hash of its 32-bit patterns, so equality is exact.
    func testBlocksDecodeExactly() {
        let cases: [(BlockFormat, halves: [Int], hash: UInt64, first: UInt32, last: UInt32)] = [
            (.q4_0, [0], 0x8c77_0d7a_1abe_19ea, 0x3ed8_8000, 0x38b8_c000),
            (.q4_1, [0, 2], 0xea87_7bb5_3198_8b99, 0x3c6c_f000, 0x3c02_6000),
            (.q8_0, [0], 0xff78_fe59_03a3_f956, 0xbd97_bc00, 0xbe3b_f200),
            (.q4K, [0, 2], 0xa1fe_e116_aa05_27b7, 0xc26d_b1c0, 0x4096_3c00),
            (.q5K, [0, 2], 0xed39_5371_b6fc_fd5c, 0x4189_a6a0, 0x4082_4000),
            (.q6K, [208], 0x2c55_1dab_a3a3_1f21, 0xbd6e_7700, 0xbe11_5780),
        ]
        for (format, halves, hash, first, last) in cases {
            var bytes = stream(16 * format.blockBytes, seed: UInt64(format.rawValue))
            for block in 0..<16 {
                // Keeps the half-precision scales finite.
                for half in halves { bytes[block * format.blockBytes + half + 1] &= 0xbf }
            }
            let values = decode(format, bytes, count: 16 * format.blockLength)
            XCTAssertEqual(values.first?.bitPattern, first, format.name)
            XCTAssertEqual(values.last?.bitPattern, last, format.name)
            XCTAssertEqual(values.withUnsafeBytes { fnv($0) }, hash, format.name)
        }
    }

    func testEveryHalfConvertsExactly() {
        for bits in 0...UInt16.max {
            let (ours, reference) = (floatFromHalf(bits), Float(Float16(bitPattern: bits)))
            // The hardware quiets NaNs, which is the only difference allowed.
            XCTAssertTrue(
                ours.bitPattern == reference.bitPattern || (ours.isNaN && reference.isNaN), "\(bits)")
        }
    }

    func testPlainFormats() {
        let values: [Float] = [0, -1.5, 3e38, 0x1p-149]
        XCTAssertEqual(decode(.f32, values.withUnsafeBytes(Array.init), count: 4), values)
        XCTAssertEqual(decode(.f16, [0, 0x3c, 1, 0, 0xff, 0xfb], count: 3), [1, 0x1p-24, -65504])
        XCTAssertEqual(decode(.bf16, [0x80, 0x3f, 0, 0xc0], count: 2), [1, -2])
        XCTAssertEqual(decode(.i8, [1, 0x80, 0xff], count: 3), [1, -128, -1])
    }

    func testByteCountRefusesWhatIsNoWholeNumberOfBlocks() {
        XCTAssertEqual(BlockFormat.q4K.byteCount(of: 512), 288)
        XCTAssertNil(BlockFormat.q4K.byteCount(of: 511))
        XCTAssertNil(BlockFormat.f32.byteCount(of: -1))
        XCTAssertNil(BlockFormat.f32.byteCount(of: .max))
    }

    func testQuantizeRowFollowsItsDefinition() {
        var state: UInt64 = 7
        for count in [1, 15, 63, 64, 65, 200] {
            let row = (0..<count).map { _ in Float(next(&state)) / 64 - 2 }
            let (q, scale) = quantized(row)
            let amax = row.map(abs).max()!
            XCTAssertEqual(scale, amax / 127)
            for (w, q) in zip(row, q) {
                let expected = (w * (127 / amax)).rounded(.toNearestOrEven)
                XCTAssertEqual(Float(q), min(max(expected, -127), 127))
            }
            XCTAssertEqual(q.count, Matrix.stride(forColumns: count))
            XCTAssertTrue(q[count...].allSatisfy { $0 == 0 })
        }
    }

    func testTiesRoundToEven() {
        // 127 / amax is exactly 1, so the halves are exact ties.
        XCTAssertEqual(
            Array(quantized([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -127]).q[..<8]),
            [127, 0, 2, 2, 0, -2, -2, -127])
    }

    func testExtremeRows() {
        XCTAssertEqual(quantized([0, -0.0]).scale, 0)
        XCTAssertEqual(quantized([9e-31, -1e-32]).scale, 0)
        XCTAssertEqual(quantized([9e-31, -1e-32]).q[0], 0)
        XCTAssertEqual(quantized([.greatestFiniteMagnitude, 1]).q[0], 127)
        for bad in [Float.infinity, -.infinity, .nan, Float(bitPattern: 0xffc0_0001)] {
            let (q, scale) = quantized([1, bad, 2])
            XCTAssertNil(scale)
            XCTAssertTrue(q.allSatisfy { $0 == 0 })
        }
    }

    func testTransposedMatrixHasTheSameNumbers() {
        for (rows, cols) in [(1, 1), (3, 130), (64, 64), (65, 7), (200, 96)] {
            var state = UInt64(rows * cols)
            let values = (0..<(rows * cols)).map { _ in Float(next(&state)) - 128 }
            values.withUnsafeBytes { bytes in
                let source = EncodedMatrix(
                    format: .f32, bytes: bytes.baseAddress!, rows: rows, cols: cols)!
                let stride = Matrix.stride(forColumns: cols)
                let transposedStride = Matrix.stride(forColumns: rows)
                var plain = [Int8](repeating: 99, count: rows * stride)
                var turned = [Int8](repeating: 99, count: cols * transposedStride)
                var scales = [Float](repeating: 9, count: rows)
                var turnedScales = scales
                XCTAssertNil(
                    quantize(
                        source, sourceRow: { $0 }, weights: &plain, stride: stride, scales: &scales))
                XCTAssertNil(
                    quantizeTransposed(
                        source, weights: &turned, stride: transposedStride, scales: &turnedScales))
                XCTAssertEqual(scales, turnedScales)
                for c in 0..<cols {
                    for r in 0..<transposedStride {
                        let expected = r < rows ? plain[r * stride + c] : 0
                        XCTAssertEqual(turned[c * transposedStride + r], expected)
                    }
                }
            }
        }
    }

    func testBadRowIsNamedAsInTheSource() {
        var values = [Float](repeating: 1, count: 200 * 4)
        values[150 * 4 + 2] = .nan
        values.withUnsafeBytes { bytes in
            let source = EncodedMatrix(format: .f32, bytes: bytes.baseAddress!, rows: 200, cols: 4)!
            var weights = [Int8](repeating: 0, count: 200 * 64)
            var scales = [Float](repeating: 0, count: 200)
            XCTAssertEqual(
                quantize(
                    source, sourceRow: { 199 - $0 }, weights: &weights, stride: 64, scales: &scales),
                150)
        }
    }
}

private func decode(_ format: BlockFormat, _ bytes: [UInt8], count: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { output, initialized in
        // One byte off, because nothing promises alignment.
        ([0] + bytes).withUnsafeBytes {
            decodeRow(format, from: $0.baseAddress! + 1, count: count, into: output.baseAddress!)
        }
        initialized = count
    }
}

private func quantized(_ row: [Float]) -> (q: [Int8], scale: Float?) {
    let stride = Matrix.stride(forColumns: row.count)
    var q = [Int8](repeating: 99, count: stride)
    let scale = quantizeRow(row, count: row.count, into: &q, stride: stride)
    return (q, scale)
}

/// The upper bytes of Knuth's linear congruential generator.
private func next(_ state: inout UInt64) -> UInt8 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return UInt8(state >> 56)
}

private func stream(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in next(&state) }
}

private func fnv(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
