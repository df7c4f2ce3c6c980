// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels
import XCTest

/// Ternary weights in guarded memory, and the same as int8.
private struct TestTernary {
    let weights: Guarded<UInt8>
    let stride: Int
    let int8: TestMatrix

    /// Random weights. The columns from `columns` on are zeros, up to whole runs of 256.
    init(_ random: inout Random, rows: Int, columns: Int, bias: Bool) {
        stride = TernaryMatrix.stride(forColumns: columns)
        let width = (columns + 63) / 64 * 64
        var bytes = [UInt8](repeating: 0b0101_0101, count: rows * stride)
        var values = [Int8](repeating: 0, count: rows * width)
        for r in 0..<rows {
            for c in 0..<columns {
                let w = random.int(-1...1), at = r * stride + c / 256 * 64 + c % 64, shift = c % 256 / 64 * 2
                values[r * width + c] = Int8(w)
                bytes[at] = bytes[at] & ~(3 << shift) | UInt8(w + 1) << shift
            }
        }
        weights = Guarded(bytes)
        int8 = TestMatrix(
            values, stride: width, scales: random.floats(rows, 0...2), bias: bias ? random.floats(rows) : nil)
    }

    var rows: TernaryRows {
        TernaryRows(
            weights: weights.pointer, stride: stride, scales: int8.scales.pointer,
            bias: int8.bias.map { UnsafePointer($0.pointer) })
    }
}

extension KernelTable {
    fileprivate func ternaryDots(
        _ w: TestTernary, _ list: [Int32]?, _ first: Int, _ count: Int, _ x: QuantizedRows, tokens: Int
    ) -> [Float] {
        let out = Output<Float>(tokens * count)
        let scratch = Output<UInt8>(TernaryRows.scratchBytes(stride: w.stride))
        let rows = list.map { Guarded($0) }
        ternary.rowDots(
            w.rows, rows.map { UnsafePointer($0.pointer) }, first, count, x, tokens, scratch.pointer, out.pointer, count
        )
        _ = scratch.values("\(name) ternary.rowDots, scratch")
        return out.values("\(name) ternary.rowDots")
    }
}

/// The kernels for ternary weights (docs/NUMERICS.md, 12).
final class TernaryTests: XCTestCase {
    func testRowDotsGiveTheBitsOfInt8Rows() throws {
        let scalar = try scalarKernels()
        var random = Random(31)
        for turn in 0..<180 {
            let count = turn % 37, columns = random.int(1...700), tokens = turn % 9 + 1
            let total = count + random.int(1...20), first = random.int(0...total - count)
            let w = TestTernary(&random, rows: total, columns: columns, bias: turn % 2 == 0)
            let groups = (columns + 63) / 64
            let values =
                turn % 7 == 0 ? .init(repeating: 127, count: tokens * groups * 64) : random.bytes(tokens * groups * 64)
            let x = TestRows(values: values, scales: random.floats(tokens * groups, 0...1), groups: groups)
            var list = random.list(random.int(0...total), below: total)
            if turn % 3 == 0 { list.shuffle(using: &random) }
            let whole = scalar.rowDots(w.int8, nil, first, count, x.row(), tokens: tokens)
            let gathered = scalar.rowDots(w.int8, list, 0, list.count, x.row(), tokens: tokens)
            forEverySet { set in
                let what = "\(set.name) \(count) rows of \(columns) columns, \(tokens) tokens"
                assertSameBits(set.ternaryDots(w, nil, first, count, x.row(), tokens: tokens), whole, what)
                assertSameBits(
                    set.ternaryDots(w, list, 0, list.count, x.row(), tokens: tokens), gathered, what + ", gathered")
            }
        }
    }

    func testUnpackedRowsAreTheWeights() throws {
        var random = Random(32)
        for columns in [1, 63, 64, 65, 255, 256, 257, 600] {
            let w = TestTernary(&random, rows: 40, columns: columns, bias: false)
            let unpackedStride = TernaryRows.unpackedStride(w.stride), width = w.int8.stride
            forEverySet { set in
                let out = Output<Int8>(set.tileRows * unpackedStride)
                set.ternary.unpackRows(w.rows, 5, set.tileRows, out.pointer)
                let values = out.values("\(set.name) ternary.unpackRows")
                for r in 0..<set.tileRows {
                    assertSame(
                        Array(values[r * unpackedStride..<r * unpackedStride + width]),
                        Array(w.int8.weights.values[(5 + r) * width..<(6 + r) * width]), "\(set.name), row \(r)")
                }
            }
            for c in 0..<columns {
                XCTAssertEqual(w.rows.weight(7, c), Int(w.int8.weights.values[7 * width + c]), "column \(c)")
            }
        }
    }

    // MARK: Storing

    /// What is stored of rows of floats, in reverse order; nil if it is refused.
    private func stored(_ rows: [[Float]]) -> (weights: [UInt8], scales: [Float])? {
        let columns = rows[0].count, stride = TernaryMatrix.stride(forColumns: columns)
        let weights = Output<UInt8>(rows.count * stride), scales = Output<Float>(rows.count)
        return Guarded(rows.flatMap { $0 }).withMatrix(rows: rows.count, columns: columns) { source in
            let order = { @Sendable (r: Int) in source.rows - 1 - r }
            let bad = storeTernary(
                source, count: source.rows, sourceRow: order, weights: weights.pointer, scales: scales.pointer)
            XCTAssertEqual(isTernary(source, count: source.rows, sourceRow: order), bad == nil)
            guard bad == nil else { return nil }
            return (weights.values("storeTernary, weights"), scales.values("storeTernary, scales"))
        }
    }

    func testStoredRowsAreTheirWeights() throws {
        var random = Random(33)
        for columns in [1, 64, 70, 256, 300, 513] {
            let sizes = [1.5, 0, 1e-40, 3e38] + random.floats(66, 0...1)
            let rows = sizes.map { size in (0..<columns).map { _ in Float(random.int(-1...1)) * size } }
            let (weights, scales) = try XCTUnwrap(stored(rows))
            let stride = TernaryMatrix.stride(forColumns: columns), bytes = Guarded(weights), floats = Guarded(scales)
            let matrix = TernaryRows(weights: bytes.pointer, stride: stride, scales: floats.pointer)
            for (r, row) in rows.reversed().enumerated() {
                for c in 0..<stride * 4 {
                    XCTAssertEqual(Float(matrix.weight(r, c)) * scales[r], c < columns ? row[c] : 0, "\(r), \(c)")
                }
            }
            XCTAssertNil(weights.withUnsafeBytes { TernaryMatrix.firstInvalidByte(in: $0) })
        }
    }

    func testOtherRowsAreRefused() {
        for bad in [Float(0.5), 2, .nan, .infinity, -.infinity, Float(1).nextUp] {
            var rows = [[Float]](repeating: [1, 0, -1, 1], count: 130)
            XCTAssertNotNil(stored(rows))
            rows[100][1] = bad
            XCTAssertNil(stored(rows), "\(bad)")
        }
    }

    func testAThreeIsFound() {
        for (byte, isValid) in [(0xC0, false), (0x30, false), (0x0C, false), (0x03, false), (0xAA, true), (0x66, true)]
        {
            var bytes = [UInt8](repeating: 0x80, count: 200)
            bytes[77] = UInt8(byte)
            bytes[99] = UInt8(byte)
            XCTAssertEqual(bytes.withUnsafeBytes { TernaryMatrix.firstInvalidByte(in: $0) }, isValid ? nil : 77)
        }
    }
}

extension Guarded<Float> {
    fileprivate func withMatrix<T>(rows: Int, columns: Int, _ body: (EncodedMatrix) -> T) -> T {
        withExtendedLifetime(self) { body(EncodedMatrix(format: .f32, bytes: pointer, rows: rows, cols: columns)!) }
    }
}
