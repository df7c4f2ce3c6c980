// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels
import XCTest

/// A matrix of 4-bit weights in guarded memory.
private struct TestBlocks {
    let blocks: Guarded<UInt8>
    let bias: Guarded<Float>?
    let groups: Int

    init(_ blocks: [UInt8], groups: Int, bias: [Float]?) {
        self.blocks = Guarded(blocks)
        self.bias = bias.map { Guarded($0) }
        self.groups = groups
    }

    /// Random nibbles, or the largest; scales of every size, some of them zero, negative or subnormal.
    init(_ random: inout Random, rows: Int, groups: Int, bias: Bool, extreme: Bool) {
        var bytes: [UInt8] = []
        for _ in 0..<(rows + 15) / 16 * groups * 2 {
            for _ in 0..<32 {
                let half = UInt16(truncatingIfNeeded: random.next()) & (extreme ? 0xBFFF : 0xA7FF)
                bytes += [UInt8(truncatingIfNeeded: half), UInt8(half >> 8)]
            }
            bytes += (0..<256).map { _ in extreme ? 0xFF : UInt8(truncatingIfNeeded: random.next()) }
        }
        self.init(bytes, groups: groups, bias: bias ? random.floats(rows) : nil)
    }

    var rows: FourBitRows {
        FourBitRows(blocks: blocks.pointer, groups: groups, bias: bias.map { UnsafePointer($0.pointer) })
    }
}

extension KernelTable {
    fileprivate func halfSums(_ x: TestRows, tokens: Int) -> Guarded<Float> {
        let out = Output<Float>(2 * tokens * x.groups)
        fourBit.halfSums(x.row(), tokens, out.pointer)
        return Guarded(out.values("\(name) halfSums"))
    }

    fileprivate func fourBitDots(
        _ w: TestBlocks, _ list: [Int32]?, _ first: Int, _ count: Int, _ x: TestRows, token: Int = 0,
        of tokens: Int = 1, together: Int = 1
    ) -> [Float] {
        let out = Output<Float>(together * count), halves = halfSums(x, tokens: tokens)
        let rows = list.map { Guarded($0) }
        fourBit.rowDots(
            w.rows, rows.map { UnsafePointer($0.pointer) }, first, count, x.row(token), together,
            halves.pointer + 2 * token * x.groups, out.pointer, count)
        return out.values("\(name) fourBit.rowDots")
    }

    fileprivate func fourBitTile(
        _ w: TestBlocks, _ first: Int, _ count: Int, _ x: TestRows, tokens: Int, outStride: Int
    ) -> [Float] {
        let tile = Output<UInt8>(FourBitRows.tileBytes(blocks: fourBit.tileBlocks, groups: w.groups))
        fourBit.packRows(w.rows, first, count, tile.pointer)
        _ = tile.values("\(name) fourBit.packRows")
        let halves = halfSums(x, tokens: tokens)
        let marker = Float(bitPattern: 0xDEAD_BEEF)
        let out = Output<Float>([Float](repeating: marker, count: (tokens - 1) * outStride + count))
        fourBit.tileDots(tile.pointer, w.rows, first, count, x.row(), halves.pointer, tokens, out.pointer, outStride)
        let values = out.values("\(name) fourBit.tileDots")
        for i in values.indices where i % outStride >= count {
            XCTAssertEqual(values[i].bitPattern, marker.bitPattern, "\(name) wrote between two tokens")
        }
        return (0..<tokens).flatMap { values[$0 * outStride..<$0 * outStride + count] }
    }

    fileprivate func expanded(_ w: TestBlocks, _ row: Int, _ columns: Int) -> [Float] {
        let out = Output<Float>(columns)
        fourBit.expandRow(w.rows, row, columns, out.pointer)
        return out.values("\(name) fourBit.expandRow")
    }
}

/// The kernels for 4-bit weights (docs/NUMERICS.md, 11).
final class FourBitTests: XCTestCase {
    func testEverySetGivesTheReferencesBits() throws {
        var file = try GoldenFile("four_bit")
        while file.hasMore {
            let shape = file.ints()
            let blocks = file.bytes().map { UInt8(bitPattern: $0) }, bias = file.floats()
            let x = file.floats(), y = file.floats(), weights = file.floats()
            let (rows, columns) = (shape[0], shape[1])
            let w = TestBlocks(blocks, groups: (columns + 63) / 64, bias: bias.isEmpty ? nil : bias)
            forEverySet { set in
                let what = "\(set.name) \(shape)"
                let quantized = TestRows(quantizing: x, set)
                assertSameBits(set.fourBitDots(w, nil, 0, rows, quantized), y, what)
                let tile = 16 * set.fourBit.tileBlocks
                for first in stride(from: 0, to: rows, by: tile) {
                    let count = min(tile, rows - first)
                    assertSameBits(
                        set.fourBitTile(w, first, count, quantized, tokens: 1, outStride: count),
                        Array(y[first..<first + count]), what + ", tile")
                }
                for row in 0..<rows {
                    assertSameBits(
                        set.expanded(w, row, columns), Array(weights[row * columns..<(row + 1) * columns]),
                        what + ", row \(row)")
                }
            }
        }
    }

    private func tokens(_ random: inout Random, groups: Int, tokens: Int, extreme: Bool) -> TestRows {
        let values = extreme ? [Int8](repeating: 127, count: tokens * groups * 64) : random.bytes(tokens * groups * 64)
        return TestRows(values: values, scales: random.floats(tokens * groups, 0...1), groups: groups)
    }

    func testRowDotsOfEverySetGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(21)
        for turn in 0..<300 {
            let count = turn % 71, groups = random.int(1...9)
            let total = count + random.int(1...40), first = random.int(0...total - count)
            let w = TestBlocks(&random, rows: total, groups: groups, bias: turn % 2 == 0, extreme: turn % 5 == 0)
            let x = tokens(&random, groups: groups, tokens: 1, extreme: turn % 7 == 0)
            var list = random.list(random.int(0...total), below: total)
            if turn % 3 == 0 { list.shuffle(using: &random) }
            let whole = scalar.fourBitDots(w, nil, first, count, x)
            let gathered = scalar.fourBitDots(w, list, 0, list.count, x)
            // Gathered rows are rows.
            let all = scalar.fourBitDots(w, nil, 0, total, x)
            assertSameBits(gathered, list.map { all[Int($0)] }, "scalar gathered, turn \(turn)")
            assertSameBits(whole, Array(all[first..<first + count]), "scalar from \(first), turn \(turn)")
            forEverySet { set in
                let what = "\(set.name) \(count) rows of \(groups) groups, turn \(turn)"
                assertSameBits(set.fourBitDots(w, nil, first, count, x), whole, what)
                assertSameBits(set.fourBitDots(w, list, 0, list.count, x), gathered, what + ", gathered")
            }
        }
    }

    func testSeveralTokensGiveTheBitsOfEachAlone() throws {
        let scalar = try scalarKernels()
        var random = Random(24)
        for turn in 0..<100 {
            let count = turn % 41 + 1, groups = random.int(1...5), tokens = turn % 19 + 1
            let total = count + random.int(1...20), first = random.int(0...total - count)
            let w = TestBlocks(&random, rows: total, groups: groups, bias: turn % 2 == 0, extreme: turn % 5 == 0)
            let x = self.tokens(&random, groups: groups, tokens: tokens, extreme: turn % 7 == 0)
            let list = random.list(random.int(0...total), below: total)
            func each(_ list: [Int32]?, _ first: Int, _ count: Int) -> [Float] {
                (0..<tokens).flatMap { scalar.fourBitDots(w, list, first, count, x, token: $0, of: tokens) }
            }
            let whole = each(nil, first, count), gathered = each(list, 0, list.count)
            forEverySet { set in
                let what = "\(set.name) \(count) rows of \(groups) groups, \(tokens) tokens"
                assertSameBits(
                    set.fourBitDots(w, nil, first, count, x, of: tokens, together: tokens), whole, what)
                assertSameBits(
                    set.fourBitDots(w, list, 0, list.count, x, of: tokens, together: tokens), gathered,
                    what + ", gathered")
            }
        }
    }

    func testTilesGiveTheBitsOfRowDots() throws {
        let scalar = try scalarKernels()
        var random = Random(22)
        for set in Kernels.available {
            let height = 16 * set.fourBit.tileBlocks
            for turn in 0..<19 * height {
                let count = turn % height + 1, tokens = turn % 19 + 1, groups = random.int(1...5)
                let first = 16 * random.int(0...2), total = first + count + random.int(0...3)
                let w = TestBlocks(&random, rows: total, groups: groups, bias: turn % 4 < 2, extreme: turn % 5 == 0)
                let x = self.tokens(&random, groups: groups, tokens: tokens, extreme: turn % 7 == 0)
                let wanted = (0..<tokens).flatMap {
                    scalar.fourBitDots(w, nil, first, count, x, token: $0, of: tokens)
                }
                let got = set.fourBitTile(w, first, count, x, tokens: tokens, outStride: count + random.int(0...40))
                assertSameBits(got, wanted, "\(set.name) tile of \(count) rows, \(tokens) tokens, \(groups) groups")
            }
        }
    }

    func testHalfSumsAndExpandedRowsOfEverySetGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(23)
        for turn in 0..<60 {
            let groups = random.int(1...6), tokens = random.int(1...5)
            let x = self.tokens(&random, groups: groups, tokens: tokens, extreme: turn % 3 == 0)
            let sums = (0..<2 * groups * tokens).map { h in
                Float(x.values.values[32 * h..<32 * h + 32].reduce(0) { $0 + Int($1) })
            }
            let w = TestBlocks(&random, rows: 33, groups: groups, bias: false, extreme: turn % 2 == 0)
            let columns = random.int(1...64 * groups), row = random.int(0...32)
            let wanted = scalar.expanded(w, row, columns)
            forEverySet { set in
                assertSameBits(set.halfSums(x, tokens: tokens).values, sums, "\(set.name) half sums")
                assertSameBits(set.expanded(w, row, columns), wanted, "\(set.name) row \(row), \(columns) columns")
            }
        }
    }

    // MARK: Quantizing

    private func quantized(
        _ format: BlockFormat, _ bytes: [UInt8], rows: Int, columns: Int, importance: [Float]? = nil
    ) -> (blocks: TestBlocks, bad: Int?) {
        let size = FourBitMatrix.blocks(forRows: rows) * FourBitMatrix.blockBytes(forColumns: columns)
        let out = Output<UInt8>(size)
        let bad = bytes.withUnsafeBytes { source in
            let matrix = EncodedMatrix(format: format, bytes: source.baseAddress!, rows: rows, cols: columns)!
            return quantizeToFourBits(
                matrix, importance: importance ?? [Float](repeating: 1, count: columns), sourceRow: { rows - 1 - $0 },
                blocks: out.pointer)
        }
        return (TestBlocks(out.values("quantizeToFourBits"), groups: (columns + 63) / 64, bias: nil), bad)
    }

    func testFourBitSourcesAreTakenOverExactly() throws {
        let scalar = try scalarKernels()
        var random = Random(24)
        for format in [BlockFormat.q4_0, .q4_1] {
            let rows = 35, columns = 224
            var bytes = (0..<rows * format.byteCount(of: columns)!).map { _ in UInt8(truncatingIfNeeded: random.next())
            }
            for block in stride(from: 0, to: bytes.count, by: format.blockBytes) {
                bytes[block + 1] &= 0x9F  // scales of moderate size
                if format == .q4_1 { bytes[block + 3] &= 0x9F }
            }
            let (w, bad) = quantized(format, bytes, rows: rows, columns: columns)
            XCTAssertNil(bad)
            for row in 0..<rows {
                var wanted = [Float](repeating: 0, count: columns)
                bytes.withUnsafeBytes {
                    decodeRow(
                        format, from: $0.baseAddress! + (rows - 1 - row) * format.byteCount(of: columns)!,
                        count: columns,
                        into: &wanted)
                }
                // A zero may come out with another sign.
                XCTAssertEqual(scalar.expanded(w, row, columns), wanted, "\(format) row \(row)")
            }
        }
    }

    func testQuantizedWeightsAreNearAndBadOnesAreFound() throws {
        let scalar = try scalarKernels()
        var random = Random(25)
        let rows = 20, columns = 100
        var w = random.floats(rows * columns)
        w.replaceSubrange(0..<columns, with: [Float](repeating: 0.25, count: columns))
        let bytes = w.withUnsafeBytes { Array($0) }
        let (blocks, bad) = quantized(.f32, bytes, rows: rows, columns: columns)
        XCTAssertNil(bad)
        for row in 0..<rows {
            let from = rows - 1 - row
            let source = Array(w[from * columns..<(from + 1) * columns])
            let got = scalar.expanded(blocks, row, columns)
            // Half a step of 4 / 15, and what clipping costs.
            for (a, b) in zip(got, source) { XCTAssertEqual(a, b, accuracy: from == 0 ? 0 : 0.28) }
            let error = zip(got, source).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Float(columns)
            XCTAssertLessThan(error, 1.05 * 4 * 4 / (15 * 15) / 12, "row \(row)")
        }
        for value in [Float.nan, .infinity, -.infinity, 1e6] {
            w[7 * columns + 99] = value
            XCTAssertEqual(quantized(.f32, w.withUnsafeBytes { Array($0) }, rows: rows, columns: columns).bad, 7)
        }
    }
}
