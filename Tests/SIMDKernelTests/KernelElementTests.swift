// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels
import XCTest

/// Every set gives the bits of the plain Swift kernels: element by element, norms, attention.
final class KernelElementTests: XCTestCase {
    func testActivationsOfEverySetGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(11)
        for count in 0...70 {
            for x in [random.floats(count, -9...9), random.anyFloats(count), [Float](repeating: -0.0, count: count)] {
                func activations(_ set: KernelTable) -> [Activate] {
                    [
                        set.relu, set.silu, set.gelu, set.geluErf, set.sigmoid, { set.fatRelu($0, $1, 0.25) },
                        { set.softCap($0, $1, 3) },
                    ]
                }
                let wanted = activations(scalar).map { scalar.inPlace($0, x) }
                forEverySet { set in
                    for (i, kernel) in activations(set).enumerated() {
                        let got = set.inPlace(kernel, x)
                        // Where x * x * x leaves the numbers there are, no bits are promised.
                        let good = wanted[i].indices.filter { !wanted[i][$0].isNaN }
                        assertSameBits(
                            good.map { got[$0] }, good.map { wanted[i][$0] }, "\(set.name) activation \(i) of \(count)")
                    }
                }
            }
        }
    }

    func testFloatProductsAndTheLargestOfEverySetAreTheSame() throws {
        let scalar = try scalarKernels()
        var random = Random(21)
        for width in 1...70 {
            let rows = Guarded(random.floats(3 * width)), x = random.floats(width), input = Guarded(x)
            func dots(_ set: KernelTable) -> [Float] {
                let out = Output<Float>(3)
                set.floatDots(rows.pointer, 3, input.pointer, width, out.pointer)
                return out.values("\(set.name) floatDots")
            }
            let wanted = dots(scalar)
            forEverySet { set in
                assertSameBits(dots(set), wanted, "\(set.name) floatDots of \(width)")
                XCTAssertEqual(set.largest(input.pointer, width), x.max()!, "\(set.name) largest of \(width)")
            }
        }
    }

    /// Positions before the first weigh nothing, and the others what they weigh in a text that begins with them, but for the
    /// lanes of their sum.
    func testSoftmaxOfAWindow() throws {
        let scalar = try scalarKernels()
        var random = Random(22)
        for count in [1, 15, 16, 17, 40, 64] {
            let x = random.floats(count, -9...9)
            for first in 0..<count {
                let wanted = scalar.softmax(x, from: first, x[first...].max()!)
                assertSameBits(
                    Array(wanted.weights[..<first]), [Float](repeating: 0, count: first), "before the window")
                assertSameBits(
                    Array(wanted.weights[first...]), scalar.softmax(Array(x[first...]), x[first...].max()!).weights,
                    "in the window")
                forEverySet { set in
                    let got = set.softmax(x, from: first, x[first...].max()!)
                    assertSameBits(
                        got.weights + [got.total], wanted.weights + [wanted.total],
                        "\(set.name) softmax of \(count) from \(first)")
                }
            }
        }
    }

    func testIndicesOfHighScoresAreThoseOfAPlainLoop() throws {
        var random = Random(19)
        for count in 0...140 {
            for x in [random.floats(count), random.anyFloats(count), [Float](repeating: 0.5, count: count)] {
                for least in [Float(-0.3), 0.5, .infinity, -.infinity] {
                    let wanted = x.indices.filter { x[$0] >= least }.map(Int32.init)
                    forEverySet { set in
                        let input = Guarded(x), out = Output<Int32>(count + 16)
                        let found = set.indicesAtLeast(input.pointer, count, least, out.pointer)
                        let all = out.values("\(set.name) indices of \(count)")
                        assertSame(
                            Array(all.prefix(found)), wanted, "\(set.name) indices of \(count), at least \(least)")
                    }
                }
            }
        }
    }

    func testAMillionExponentialsOfEverySetGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(12)
        for _ in 0..<16 {
            let x = random.anyFloats(32_768) + random.floats(32_768, -90...90)
            let wanted = scalar.softmax(x, 0)
            forEverySet { set in
                let got = set.softmax(x, 0)
                assertSameBits(got.weights + [got.total], wanted.weights + [wanted.total], "\(set.name) exp")
            }
        }
    }

    func testQuantizationOfEverySetGivesTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(13)
        for turn in 0..<280 {
            let count = turn % 140 + 1
            let size = [Float(1), 1e-29, 1e30, 1e-38][turn / 35 % 4]
            var x = random.floats(count).map { $0 * size }
            if turn % 5 == 0 { x = [Float](repeating: turn % 2 == 0 ? -0.0 : 0, count: count) }
            if turn % 7 == 0 { x = random.anyFloats(count) }
            let wanted = TestRows(quantizing: x, scalar)
            forEverySet { set in
                let got = TestRows(quantizing: x, set)
                assertSame(got.values.values, wanted.values.values, "\(set.name) quantize \(count), values")
                assertSameBits(got.scales.values, wanted.scales.values, "\(set.name) quantize \(count), scales")
                assertSame(got.sums.values, wanted.sums.values, "\(set.name) quantize \(count), sums")
                assertSame(
                    got.sums.values,
                    (0..<got.groups).map { g in
                        128 * got.values.values[g * 64..<g * 64 + 64].reduce(Int32(0)) { $0 + Int32($1) }
                    }, "\(set.name) quantize \(count), sums of its values")
            }
        }
    }

    func testAGroupThatIsNotFiniteGetsAScaleThatIsNot() throws {
        for bad in [Float.infinity, -.infinity] {
            for at in [0, 17, 63] {
                var x = [Float](repeating: 1, count: 64)
                x[at] = bad
                forEverySet { set in
                    XCTAssertFalse(TestRows(quantizing: x, set).scales.values[0].isFinite, "\(set.name) hides \(bad)")
                }
            }
        }
    }

    func testRowsExpandToTheSameFloats() throws {
        var random = Random(14)
        for count in 1...70 {
            let row = random.bytes(count), scale = random.floats(1)[0]
            let wanted = row.map { Float($0) * scale }
            forEverySet { set in
                let input = Guarded(row), out = Output<Float>(count)
                set.expandRow(input.pointer, scale, count, out.pointer)
                assertSameBits(out.values("\(set.name) expandRow"), wanted, "\(set.name) expandRow of \(count)")
            }
        }
    }

    func testSumsAndProductsAreThoseOfSwift() throws {
        var random = Random(15)
        for count in 0...70 {
            let x = random.floats(count), y = random.floats(count).map { $0 * 1e-20 }
            forEverySet { set in
                for (kernel, wanted) in [
                    (set.add, zip(x, y).map { $0 + $1 }), (set.multiply, zip(x, y).map { $0 * $1 }),
                ] {
                    let out = Output(x), other = Guarded(y)
                    kernel(out.pointer, other.pointer, count)
                    assertSameBits(out.values("\(set.name) combine"), wanted, "\(set.name) combine \(count)")
                }
            }
        }
    }

    func testNormsOfEverySetGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(16)
        for count in Array(1...100) + [576, 577] {
            for size in [Float(1), 1e-20, 1e15, 0] {
                let x = random.floats(count).map { $0 * size }
                let w = random.floats(count), b = random.floats(count)
                let rms = scalar.rms(x, w, 1e-5), layer = scalar.layer(x, w, b, 1e-5)
                forEverySet { set in
                    assertSameBits(set.rms(x, w, 1e-5), rms, "\(set.name) RMS norm of \(count)")
                    assertSameBits(set.layer(x, w, b, 1e-5), layer, "\(set.name) layer norm of \(count)")
                }
            }
        }
    }

    func testRopeOfEverySetGivesTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(17)
        for pairs in 0...70 {
            let x = random.floats(2 * pairs + pairs % 3), c = random.floats(pairs), s = random.floats(pairs)
            let wanted = scalar.rotated(x, c, s)
            forEverySet { assertSameBits($0.rotated(x, c, s), wanted, "\($0.name) rope of \(pairs) pairs") }
        }
    }

    func testHalvesOfEverySetAreTheNearestOnes() throws {
        var random = Random(18)
        // Every half, the middle to its neighbor, and what lies beside both.
        var x: [Float] = (UInt16(0)..<0x7C00).flatMap { bits -> [Float] in
            let half = floatFromHalf(bits)
            let next = bits == 0x7BFF ? 65536 : floatFromHalf(bits + 1)
            let middle = (half + next) / 2
            return [half, half.nextUp, middle.nextDown, middle, middle.nextUp]
        }
        x += x.map { -$0 } + random.anyFloats(10_000)
        let wanted = x.map { v -> UInt16 in
            let clamped = min(max(v, -65504), 65504)
            return nearestHalf(clamped)
        }
        forEverySet { assertSame($0.halves(x), wanted, "\($0.name) toHalf") }
        for count in 0...70 {
            let some = Array(x[(count * 1000)..<(count * 1001)])
            forEverySet {
                assertSame(
                    $0.halves(some), some.map { nearestHalf(min(max($0, -65504), 65504)) }, "\($0.name) \(count)")
            }
        }
    }

    /// By the definition: the nearest value, of two the one with an even last bit.
    private func nearestHalf(_ x: Float) -> UInt16 {
        let sign: UInt16 = x.sign == .minus ? 0x8000 : 0
        let size = Double(x.magnitude)
        // The spacing of halves at this size.
        let exponent = size < 0x1p-14 ? -24 : Int(size.exponent) - 10
        let units = (size * Double(sign: .plus, exponent: -exponent, significand: 1)).rounded(.toNearestOrEven)
        let whole = Int(units)
        return sign | UInt16(size < 0x1p-14 ? whole : (exponent + 24) << 10 + whole)
    }

    func testEveryHalfIsTheSameFloatInEverySet() throws {
        let all = (UInt16.min...UInt16.max).filter { $0 & 0x7FFF < 0x7C00 }
        let wanted = all.map { floatFromHalf($0) + 0 }
        forEverySet { assertSameBits($0.weighted([1], all, all.count, 1), wanted, "\($0.name) halves as floats") }
    }

    func testAttentionOfEverySetGivesTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(19)
        for width in stride(from: 16, through: 128, by: 16) {
            for count in [1, 2, 3, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100, 127, 128, 129, 130] {
                let size: Float = [1, 30, 1e-20, 0][count % 4]
                let query = random.floats(width).map { $0 * size }
                let keys = random.floats(width * count).map { nearestHalf($0) }
                let values = (0..<width * count).map { _ in
                    UInt16(random.int(0...0x7BFF)) | UInt16(random.int(0...1)) << 15
                }
                let scale = 1 / Float(width).squareRoot()
                let scores = scalar.scores(query, keys, width, count, scale)
                let softmax = scalar.softmax(scores.scores, scores.largest)
                let out = scalar.weighted(softmax.weights, values, width, softmax.total)
                XCTAssertEqual(scores.largest, scores.scores.max())
                forEverySet { set in
                    let what = "\(set.name) \(count) positions of \(width)"
                    let s = set.scores(query, keys, width, count, scale)
                    assertSameBits(s.scores + [s.largest], scores.scores + [scores.largest], what + ", scores")
                    let e = set.softmax(s.scores, s.largest)
                    assertSameBits(e.weights + [e.total], softmax.weights + [softmax.total], what + ", softmax")
                    assertSameBits(set.weighted(e.weights, values, width, e.total), out, what + ", values")
                }
            }
        }
    }

    func testKernelSetsAreFoundByName() throws {
        XCTAssertEqual(Kernels.available.last?.name, "scalar")
        for set in Kernels.available { XCTAssertEqual(try Kernels.named(set.name).name, set.name) }
        XCTAssertThrowsError(try Kernels.named("no such set")) { error in
            XCTAssertTrue("\(error)".contains("scalar"), "\(error)")
        }
    }

    /// Whatever queries are in a tile with it, and however many more positions they see: a query's bits stay its own.
    func testAttentionOfATileGivesTheBitsOfEachQueryAlone() throws {
        let scalar = try scalarKernels()
        var random = Random(20)
        for width in TestTier.isFull ? [16, 32, 48, 64, 80, 96, 128] : [32, 48, 64] {
            for rows in 1...QueryTile.most {
                for first in [1, 2, 14, 15, 16, 17, 33, 64, 100] {
                    for steps in [0, 1, 17] {
                        let counts = (0..<rows).map { first + $0 / 2 * steps }
                        let most = counts.last!
                        let queries = (0..<rows).map { _ in random.floats(width) }
                        let halves = (0..<2).map { _ in random.floats(width * most).map { nearestHalf($0) } }
                        let bytes = (0..<2).map { _ in random.bytes(width * most) }
                        let scales = (0..<2).map { _ in random.floats(most + 15, 0...0.1) }
                        let weights = counts.map { random.floats($0, 0...1) }
                        let totals = random.floats(rows, 1...9)
                        let alone = (0..<rows).map { i -> [[Float]] in
                            let n = width * counts[i]
                            let s = scalar.scores(queries[i], Array(halves[0].prefix(n)), width, counts[i], 0.125)
                            let b = scalar.scores(
                                [queries[i]], [counts[i]], keys: blocks(Array(bytes[0].prefix(n)), width),
                                scales: scales[0],
                                width, 0.125)
                            return [
                                s.scores + [s.largest], b.scores[0] + b.largest,
                                scalar.weighted(weights[i], Array(halves[1].prefix(n)), width, totals[i]),
                                scalar.weighted(
                                    [weights[i]], values: Array(bytes[1].prefix(n)), scales: scales[1], width,
                                    [totals[i]])[0],
                            ]
                        }
                        XCTAssertEqual(alone.map { $0[0].last! }, alone.map { $0[0].dropLast().max()! })
                        forEverySet { set in
                            let s = set.scores(queries, counts, keys: blocks(halves[0], width), width, 0.125)
                            let b = set.scores(
                                queries, counts, keys: blocks(bytes[0], width), scales: scales[0], width, 0.125)
                            // In one call, or in two.
                            let cut = random.int(0...(most - 1) / QueryTile.keyBlock) * QueryTile.keyBlock
                            let v = set.weighted(weights, values: halves[1], width, totals, cut: cut)
                            let w = set.weighted(weights, values: bytes[1], scales: scales[1], width, totals, cut: cut)
                            for i in 0..<rows {
                                let what = "\(set.name) row \(i) of \(counts), \(width) wide"
                                assertSameBits(s.scores[i] + [s.largest[i]], alone[i][0], what + ", scores")
                                assertSameBits(b.scores[i] + [b.largest[i]], alone[i][1], what + ", scores of bytes")
                                assertSameBits(v[i], alone[i][2], what + ", values")
                                assertSameBits(w[i], alone[i][3], what + ", values in bytes")
                            }
                        }
                    }
                }
            }
        }
    }
}
