// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import XCTest

/// Every set gives the bits of the plain Swift kernels, whatever the shapes: matrices.
final class KernelEqualityTests: XCTestCase {
    private enum Weights: CaseIterable { case random, largest, smallest, zero, opposite }
    private enum Scales: CaseIterable { case usual, subnormal, huge, zero }

    /// Tokens of whole groups; the last values of a token are zeros, as padding is.
    private func rows(
        _ random: inout Random, groups: Int, tokens: Int, _ kind: Weights, _ scale: Scales, used: Int? = nil
    ) -> TestRows {
        var values = bytes(&random, groups * tokens * 64, kind)
        if let used { for i in values.indices where i % (groups * 64) >= used { values[i] = 0 } }
        return TestRows(values: values, scales: scales(&random, groups * tokens, scale), groups: groups)
    }

    private func bytes(_ random: inout Random, _ count: Int, _ kind: Weights) -> [Int8] {
        switch kind {
        case .random: random.bytes(count)
        case .largest: [Int8](repeating: 127, count: count)
        case .smallest: [Int8](repeating: -127, count: count)
        case .zero: [Int8](repeating: 0, count: count)
        case .opposite: (0..<count).map { $0 % 2 == 0 ? 127 : -127 }
        }
    }

    private func scales(_ random: inout Random, _ count: Int, _ kind: Scales) -> [Float] {
        switch kind {
        case .usual: random.floats(count, 1e-3...2e-2)
        case .subnormal: (0..<count).map { _ in Float(bitPattern: UInt32(random.int(0...0x7F_FFFF))) }
        case .huge: random.floats(count, 1e29...1e30)
        case .zero: [Float](repeating: 0, count: count)
        }
    }

    private func matrix(
        _ random: inout Random, rows: Int, stride: Int, outputs: Int, bias: Bool, _ kind: Weights, _ scale: Scales
    ) -> TestMatrix {
        let weightScale: Scales = scale == .huge ? .usual : scale
        return TestMatrix(
            bytes(&random, rows * stride, kind), stride: stride, scales: scales(&random, outputs, weightScale),
            bias: bias ? random.floats(outputs) : nil)
    }

    /// All kinds of numbers in turn, mostly random ones.
    private func kinds(_ turn: Int) -> (Weights, Weights, Scales) {
        let kind = Weights.allCases
        return turn % 3 == 0
            ? (kind[turn / 3 % kind.count], kind[turn / 15 % kind.count], Scales.allCases[turn / 3 % 4])
            : (.random, .random, .usual)
    }

    func testRowDotsOfEverySetGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(1)
        for turn in 0..<420 {
            let (a, b, scale) = kinds(turn)
            let count = turn % 71
            let groups = random.int(1...9), extra = random.int(0...2)
            let total = count + random.int(0...20)
            let first = random.int(0...total - count)
            let w = matrix(
                &random, rows: total, stride: (groups + extra) * 64, outputs: total, bias: turn % 2 == 0, a, scale)
            let x = rows(&random, groups: groups, tokens: 1, b, scale)
            let list = random.list(random.int(0...total), below: total)
            let whole = scalar.rowDots(w, nil, first, count, x.row())
            let gathered = scalar.rowDots(w, list, 0, list.count, x.row())
            forEverySet { set in
                let what = "\(set.name) \(count) rows of \(groups) groups, turn \(turn)"
                assertSameBits(set.rowDots(w, nil, first, count, x.row()), whole, what)
                assertSameBits(set.rowDots(w, list, 0, list.count, x.row()), gathered, what + ", gathered")
            }
        }
    }

    func testSeveralTokensGiveTheBitsOfEachAlone() throws {
        let scalar = try scalarKernels()
        var random = Random(8)
        for turn in 0..<(TestTier.isFull ? 120 : 40) {
            let (a, b, scale) = kinds(turn)
            let count = turn % 37 + 1, groups = random.int(1...5), tokens = turn % 19 + 1
            let total = max(count, groups * 64) + random.int(0...9)
            let w = matrix(
                &random, rows: total, stride: groups * 64, outputs: total, bias: turn % 2 == 0, a, scale)
            let x = rows(&random, groups: groups, tokens: tokens, b, scale)
            let list = random.list(random.int(0...total), below: total)
            let dots = (0..<tokens).flatMap { scalar.rowDots(w, nil, 2, count - 1, x.row($0)) }
            let gathered = (0..<tokens).flatMap { scalar.rowDots(w, list, 0, list.count, x.row($0)) }
            // As many neurons as there are activations, and as many columns as a row has.
            let neurons = groups * 64, chosen = Array(random.list(total, below: total).prefix(neurons))
            let sums = (0..<tokens).flatMap { scalar.neuronSums(w, nil, neurons, count, x.row($0)) }
            let some = (0..<tokens).flatMap { scalar.neuronSums(w, chosen, neurons, count, x.row($0)) }
            forEverySet { set in
                let what = "\(set.name) \(count) outputs, \(groups) groups, \(tokens) tokens"
                assertSameBits(set.rowDots(w, nil, 2, count - 1, x.row(), tokens: tokens), dots, what)
                assertSameBits(
                    set.rowDots(w, list, 0, list.count, x.row(), tokens: tokens), gathered, what + ", gathered")
                assertSameBits(
                    set.neuronSums(w, nil, neurons, count, x.row(), tokens: tokens), sums, what + ", neurons")
                assertSameBits(
                    set.neuronSums(w, chosen, neurons, count, x.row(), tokens: tokens), some, what + ", listed neurons")
            }
        }
    }

    func testRowDotsOfNoRowsAndOfOneRowGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(2)
        let w = matrix(&random, rows: 9, stride: 128, outputs: 9, bias: true, .random, .usual)
        let x = rows(&random, groups: 2, tokens: 1, .random, .usual)
        for list in [[], [0], [4], [8], [0, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8]] as [[Int32]] {
            let wanted = scalar.rowDots(w, list, 0, list.count, x.row())
            forEverySet { assertSameBits($0.rowDots(w, list, 0, list.count, x.row()), wanted, "\($0.name) \(list)") }
        }
    }

    func testTilesOfRowsGiveTheBitsOfRowDots() throws {
        let scalar = try scalarKernels()
        var random = Random(3)
        for set in Kernels.available {
            for turn in 0..<17 * set.tileRows {
                let (a, b, scale) = kinds(turn)
                let count = turn % set.tileRows + 1, tokens = turn % 17 + 1
                let groups = random.int(1...7)
                let first = random.int(0...5), total = first + count + random.int(0...3)
                let w = matrix(
                    &random, rows: total, stride: (groups + turn % 2) * 64, outputs: total, bias: turn % 4 < 2, a, scale
                )
                let x = rows(&random, groups: groups, tokens: tokens, b, scale)
                let wanted = (0..<tokens).flatMap { scalar.rowDots(w, nil, first, count, x.row($0)) }
                let got = set.tile(
                    w, neurons: nil, first, count, x, tokens: tokens, outStride: count + random.int(0...40))
                assertSameBits(got, wanted, "\(set.name) tile of \(count) rows, \(tokens) tokens, \(groups) groups")
            }
        }
    }

    func testNeuronSumsOfEverySetGiveTheSameBits() throws {
        let scalar = try scalarKernels()
        var random = Random(4)
        var turn = 0
        for active in [0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 127, 128, 200, 700] {
            for count in [1, 2, 15, 16, 17, 31, 32, 33, 50, 63, 64, 65, 100, 128, 130, 200] {
                turn += 1
                let (a, b, scale) = kinds(turn)
                let outputs = count, stride = (outputs + 63) / 64 * 64 + random.int(0...1) * 64
                let total = max(active, 1) + random.int(0...60)
                let w = matrix(
                    &random, rows: total, stride: stride, outputs: outputs, bias: turn % 2 == 0, a, scale)
                let groups = (active + 63) / 64
                let x = rows(&random, groups: groups, tokens: 1, b, scale, used: active)
                let list = random.list(active, below: total)
                let listed = scalar.neuronSums(w, list, active, count, x.row())
                let whole = scalar.neuronSums(w, nil, active, count, x.row())
                let block = [64, 128, 192, 640][turn % 4]
                forEverySet { set in
                    let what = "\(set.name) \(active) neurons, \(count) columns"
                    assertSameBits(set.neuronSums(w, list, active, count, x.row()), listed, what + ", listed")
                    assertSameBits(set.neuronSums(w, nil, active, count, x.row()), whole, what)
                    assertSameBits(
                        set.neuronSumsInPieces(w, list, active, count, x.row(), block: block), listed,
                        what + ", listed, in pieces of \(block)")
                    assertSameBits(
                        set.neuronSumsInPieces(w, nil, active, count, x.row(), block: block), whole,
                        what + ", in pieces of \(block)")
                }
            }
        }
    }

    /// Rows whose value is zero need not be read.
    func testNeuronSumsWithoutZerosGiveTheBitsOfAll() throws {
        let scalar = try scalarKernels()
        var random = Random(23)
        var turn = 0
        for active in [1, 2, 7, 8, 9, 63, 64, 65, 128, 200, 700] {
            for count in [1, 16, 33, 64, 65, 130, 256] {
                turn += 1
                let stride = (count + 63) / 64 * 64, total = active + random.int(0...60)
                let w = matrix(
                    &random, rows: total, stride: stride, outputs: count, bias: turn % 2 == 0, .random, .usual)
                let share = [0, 3, 30, 100][turn % 4]
                let h = random.floats(active).map { random.int(0...99) < share ? $0 : 0 }
                let x = TestRows(quantizing: h, scalar), list = random.list(active, below: total)
                for list in [list, nil] {
                    let wanted = scalar.neuronSums(w, list, active, count, x.row())
                    forEverySet { set in
                        assertSameBits(
                            set.sparseNeuronSums(w, list, active, count, x.row()), wanted,
                            "\(set.name) \(share) % of \(active) neurons, \(count) columns")
                    }
                }
            }
        }
    }

    func testTilesOfColumnsGiveTheBitsOfNeuronSums() throws {
        let scalar = try scalarKernels()
        var random = Random(5)
        var turn = 0
        for set in Kernels.available {
            for neurons in [1, 2, 3, 5, 63, 64, 65, 130, 700] {
                for count in 1...set.tileRows {
                    turn += 1
                    let (a, b, scale) = kinds(turn)
                    let tokens = turn % 17 + 1
                    let first = random.int(0...3) * set.tileRows
                    let outputs = first + count, stride = (outputs + 63) / 64 * 64
                    let w = matrix(
                        &random, rows: neurons, stride: stride, outputs: outputs, bias: turn % 2 == 0, a, scale)
                    let x = rows(
                        &random, groups: (neurons + 63) / 64, tokens: tokens, b, scale, used: neurons)
                    let wanted = (0..<tokens).flatMap {
                        scalar.neuronSums(w, nil, neurons, outputs, x.row($0)).suffix(count)
                    }
                    let got = set.tile(
                        w, neurons: neurons, first, count, x, tokens: tokens, outStride: count + random.int(0...9))
                    assertSameBits(
                        got, wanted, "\(set.name) tile of \(count) columns, \(neurons) neurons, \(tokens) tokens")
                }
            }
        }
    }

    func testAllNeuronsListedGiveTheBitsOfNoList() throws {
        var random = Random(6)
        for neurons in [1, 63, 64, 65, 321] {
            let w = matrix(&random, rows: neurons, stride: 128, outputs: 100, bias: true, .random, .usual)
            let x = rows(&random, groups: (neurons + 63) / 64, tokens: 1, .random, .usual, used: neurons)
            let all = (0..<Int32(neurons)).map { $0 }
            forEverySet { set in
                assertSameBits(
                    set.neuronSums(w, all, neurons, 100, x.row()), set.neuronSums(w, nil, neurons, 100, x.row()),
                    "\(set.name) \(neurons) neurons")
            }
        }
    }
}
