// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import XCTest

final class QuantTests: XCTestCase {
    /// Every block format against the `dequantize` of Python's gguf package, and I2_S against its definition: random
    /// blocks, zeros, ones and extreme scales. Fixtures/make_blocks.py makes them.
    func testBlocksDecodeExactly() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Fixtures/blocks.txt")
        var seen: Set<BlockFormat> = [.i8]
        for (number, line) in try String(contentsOf: path, encoding: .utf8).split(separator: "\n").enumerated() {
            let fields = line.split(separator: " ")
            let format = try XCTUnwrap(BlockFormat.allCases.first { $0.name == fields[0] }, "\(fields[0])")
            seen.insert(format)
            let count = format == .i2S ? 512 : format.blockLength
            let bytes = bytes(fromHex: fields[1])
            XCTAssertEqual(bytes.count, format.byteCount(ofTensor: count), format.name)
            let values = decode(format, bytes, rows: format == .i2S ? 2 : 1, count: count)
            let bits = values.map { $0.isNaN ? 0x7fc0_0000 : $0.bitPattern }
            XCTAssertEqual(
                bits.withUnsafeBytes { fnv($0) }, UInt64(fields[2], radix: 16), "line \(number + 1), \(format.name)")
        }
        XCTAssertEqual(seen, Set(BlockFormat.allCases))
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
        XCTAssertEqual(BlockFormat.q4K.byteCount(ofTensor: 512), 288)
        XCTAssertEqual(BlockFormat.i2S.byteCount(ofTensor: 512), 160)
        XCTAssertNil(BlockFormat.i2S.byteCount(ofTensor: 64))
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

private func decode(_ format: BlockFormat, _ bytes: [UInt8], rows: Int = 1, count: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { output, initialized in
        // One byte off, because nothing promises alignment.
        ([0] + bytes).withUnsafeBytes {
            let matrix = EncodedMatrix(
                format: format, bytes: $0.baseAddress! + 1, rows: rows, cols: count / rows)!
            for row in 0..<rows { matrix.decode(row: row, into: output.baseAddress! + row * matrix.cols) }
        }
        initialized = count
    }
}

private func bytes(fromHex digits: Substring) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = digits.utf8[...]
    while let high = rest.popFirst(), let low = rest.popFirst() {
        bytes.append(UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)!)
    }
    return bytes
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

private func fnv(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
