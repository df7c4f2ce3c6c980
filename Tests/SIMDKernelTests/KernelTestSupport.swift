// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import XCTest

/// Numbers that are the same in every run (SplitMix64).
struct Random: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func floats(_ count: Int, _ range: ClosedRange<Float> = -2...2) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &self) }
    }

    /// Finite floats of every size: any bits but those of infinities and NaN.
    mutating func anyFloats(_ count: Int) -> [Float] {
        (0..<count).map { _ in
            let x = Float(bitPattern: UInt32(truncatingIfNeeded: next()))
            return x.isFinite ? x : 0
        }
    }

    mutating func bytes(_ count: Int) -> [Int8] {
        (0..<count).map { _ in Int8.random(in: -127...127, using: &self) }
    }

    /// `count` numbers below `limit`, ascending, no two alike.
    mutating func list(_ count: Int, below limit: Int) -> [Int32] {
        Array((0..<Int32(limit)).shuffled(using: &self).prefix(count).sorted())
    }
}

/// Input whose end lies at the end of a page, with forbidden pages on both sides: a kernel that reads
/// past it dies on the spot.
final class Guarded<Element: BitwiseCopyable> {
    private let base: UnsafeMutableRawPointer
    private let size: Int
    let pointer: UnsafeMutablePointer<Element>
    let count: Int

    init(_ values: [Element]) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let bytes = values.count * MemoryLayout<Element>.stride
        let room = (bytes + page - 1) / page * page
        size = room + 2 * page
        base = mmap(nil, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(base != MAP_FAILED, "no memory for a test")
        if room > 0 { mprotect(base + page, room, PROT_READ | PROT_WRITE) }
        pointer = (base + (page + room - bytes)).bindMemory(to: Element.self, capacity: max(values.count, 1))
        count = values.count
        pointer.initialize(from: values, count: count)
    }

    deinit { munmap(base, size) }

    var values: [Element] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}

/// Room for output between canaries: a kernel that writes past its output is found out.
final class Output<Element: BitwiseCopyable> {
    private static var margin: Int { 512 }
    private let base: UnsafeMutableRawPointer
    private let bytes: Int
    let pointer: UnsafeMutablePointer<Element>
    let count: Int

    init(_ count: Int) {
        self.count = count
        bytes = count * MemoryLayout<Element>.stride
        base = .allocate(byteCount: bytes + 2 * Self.margin, alignment: 64)
        memset(base, 0xA5, bytes + 2 * Self.margin)
        pointer = (base + Self.margin).bindMemory(to: Element.self, capacity: max(count, 1))
    }

    convenience init(_ values: [Element]) {
        self.init(values.count)
        pointer.initialize(from: values, count: count)
    }

    deinit { base.deallocate() }

    /// What was written; fails the test if anything was written beside it.
    func values(_ what: @autoclosure () -> String, file: StaticString = #filePath, line: UInt = #line) -> [Element] {
        let whole = UnsafeRawBufferPointer(start: base, count: bytes + 2 * Self.margin)
        let intact =
            whole.prefix(Self.margin).allSatisfy { $0 == 0xA5 } && whole.suffix(Self.margin).allSatisfy { $0 == 0xA5 }
        if !intact { XCTFail("\(what()): wrote outside its output", file: file, line: line) }
        return Array(UnsafeBufferPointer(start: pointer, count: count))
    }
}

/// Equal to the last bit, signs of zeros included.
func assertSameBits(
    _ got: [Float], _ wanted: [Float], _ what: @autoclosure () -> String, file: StaticString = #filePath,
    line: UInt = #line
) {
    guard got.count == wanted.count else {
        return XCTFail("\(what()): \(got.count) values instead of \(wanted.count)", file: file, line: line)
    }
    for i in got.indices where got[i].bitPattern != wanted[i].bitPattern {
        return XCTFail("\(what()): [\(i)] is \(got[i]) instead of \(wanted[i])", file: file, line: line)
    }
}

func assertSame<T: Equatable>(
    _ got: [T], _ wanted: [T], _ what: @autoclosure () -> String, file: StaticString = #filePath, line: UInt = #line
) {
    guard got != wanted else { return }
    let at = zip(got, wanted).enumerated().first { $1.0 != $1.1 }
    XCTFail("\(what()): differs at \(at.map { "[\($0.offset)]: \($0.element)" } ?? "the end")", file: file, line: line)
}

/// Quantized tokens in guarded memory.
struct TestRows {
    let values: Guarded<Int8>
    let scales: Guarded<Float>
    let sums: Guarded<Int32>
    let groups: Int

    /// `values` is whole groups, `groups` of them a token.
    init(values: [Int8], scales: [Float], groups: Int) {
        self.values = Guarded(values)
        self.scales = Guarded(scales)
        sums = Guarded(
            scales.indices.map { g in
                128 * values[g * 64..<(g + 1) * 64].reduce(Int32(0)) { $0 + Int32($1) }
            })
        self.groups = groups
    }

    /// Quantizes one token with the kernels under test.
    init(quantizing x: [Float], _ kernels: KernelTable) {
        groups = (x.count + 63) / 64
        let v = Output<Int8>(groups * 64), s = Output<Float>(groups), m = Output<Int32>(groups)
        let input = Guarded(x)
        kernels.quantize(input.pointer, x.count, v.pointer, s.pointer, m.pointer)
        values = Guarded(v.values("\(kernels.name) quantize, values"))
        scales = Guarded(s.values("\(kernels.name) quantize, scales"))
        sums = Guarded(m.values("\(kernels.name) quantize, sums"))
    }

    func row(_ t: Int = 0) -> QuantizedRows {
        QuantizedRows(
            values: values.pointer + t * groups * 64, scales: scales.pointer + t * groups,
            sums: sums.pointer + t * groups, groups: groups)
    }
}

/// A weight matrix in guarded memory.
struct TestMatrix {
    let weights: Guarded<Int8>
    let scales: Guarded<Float>
    let bias: Guarded<Float>?
    let stride: Int

    init(_ weights: [Int8], stride: Int, scales: [Float], bias: [Float]?) {
        self.weights = Guarded(weights)
        self.scales = Guarded(scales)
        self.bias = bias.map { Guarded($0) }
        self.stride = stride
    }

    var rows: WeightRows {
        WeightRows(
            weights: weights.pointer, stride: stride, scales: scales.pointer,
            bias: bias.map { UnsafePointer($0.pointer) })
    }
}

extension KernelTable {
    /// `rowDots` into guarded memory: `[tokens, count]`.
    func rowDots(
        _ w: TestMatrix, _ list: [Int32]?, _ first: Int, _ count: Int, _ x: QuantizedRows, tokens: Int = 1
    ) -> [Float] {
        let out = Output<Float>(tokens * count)
        let rows = list.map { Guarded($0) }
        rowDots(w.rows, rows.map { UnsafePointer($0.pointer) }, first, count, x, tokens, out.pointer, count)
        return out.values("\(name) rowDots")
    }

    func neuronSums(
        _ w: TestMatrix, _ list: [Int32]?, _ neurons: Int, _ count: Int, _ x: QuantizedRows, tokens: Int = 1
    ) -> [Float] {
        let out = Output<Float>(tokens * count), scratch = Output<UInt8>(tokens * ((count + 63) / 64 * 64 * 8))
        let rows = list.map { Guarded($0) }
        neuronSums(
            w.rows, rows.map { UnsafePointer($0.pointer) }, neurons, count, x, tokens,
            UnsafeMutableRawPointer(scratch.pointer), out.pointer, count)
        _ = scratch.values("\(name) neuronSums' scratch")
        return out.values("\(name) neuronSums")
    }

    /// The same over the neurons whose value is not zero, packed to the front of their groups.
    func sparseNeuronSums(
        _ w: TestMatrix, _ list: [Int32]?, _ neurons: Int, _ count: Int, _ x: QuantizedRows
    ) -> [Float] {
        var inputs = [Int32](repeating: -1, count: x.groups * 64), sizes = [Int32](repeating: 0, count: x.groups)
        var values = [Int8](repeating: 0, count: x.groups * 64)
        for i in 0..<neurons where x.values[i] != 0 {
            let place = i / 64 * 64 + Int(sizes[i / 64])
            (inputs[place], values[place]) = (list?[i] ?? Int32(i), x.values[i])
            sizes[i / 64] += 1
        }
        let out = Output<Float>(count), scratch = Output<UInt8>((count + 63) / 64 * 64 * 8)
        let packed = Guarded(values), rows = Guarded(inputs), numbers = Guarded(sizes)
        sparseNeuronSums(
            w.rows, rows.pointer, numbers.pointer, count,
            QuantizedRows(values: packed.pointer, scales: x.scales, sums: x.sums, groups: x.groups),
            UnsafeMutableRawPointer(scratch.pointer), out.pointer)
        _ = scratch.values("\(name) sparseNeuronSums' scratch")
        return out.values("\(name) sparseNeuronSums")
    }

    /// The same in two steps, the first in pieces of `block` neurons, a multiple of 64, as if for threads.
    func neuronSumsInPieces(
        _ w: TestMatrix, _ list: [Int32]?, _ neurons: Int, _ count: Int, _ x: QuantizedRows, block: Int
    ) -> [Float] {
        let width = (count + 63) / 64 * 64
        // The sums need a row of their own, even of no groups.
        let out = Output<Float>(count), contributions = Output<Float>(max(x.groups, 1) * width)
        for first in stride(from: 0, to: neurons, by: block) {
            let some = min(block, neurons - first), group = first / 64
            let piece = list.map { Guarded(Array($0[first..<first + some])) }
            let scratch = Output<UInt8>(width * 4)
            let part = Output<Float>((some + 63) / 64 * width)
            var rows = w.rows
            if list == nil { rows.weights += first * w.stride }
            neuronGroups(
                rows, piece.map { UnsafePointer($0.pointer) }, some, count,
                QuantizedRows(
                    values: x.values + first, scales: x.scales + group, sums: x.sums + group, groups: (some + 63) / 64),
                UnsafeMutableRawPointer(scratch.pointer), part.pointer)
            _ = scratch.values("\(name) neuronGroups' scratch")
            (contributions.pointer + group * width).update(from: part.values("\(name) neuronGroups"), count: part.count)
        }
        groupSums(w.rows, contributions.pointer, x.groups, count, out.pointer)
        _ = contributions.values("\(name) groupSums' contributions")
        return out.values("\(name) groupSums")
    }

    /// A tile of rows, or of columns if `neurons` tells how many there are, times `tokens` tokens.
    /// - Returns: the outputs, those of a token after those of the one before.
    func tile(
        _ w: TestMatrix, neurons: Int?, _ first: Int, _ count: Int, _ x: TestRows, tokens: Int, outStride: Int
    ) -> [Float] {
        let packed = Output<UInt8>(tileRows * x.groups * 64)
        let tile = UnsafeMutableRawPointer(packed.pointer)
        if let neurons {
            packColumns(w.rows, neurons, first, x.groups, tile)
        } else {
            packRows(w.rows, first, count, x.groups, tile)
        }
        _ = packed.values("\(name) pack")
        let marker = Float(bitPattern: 0xDEAD_BEEF)
        let out = Output<Float>([Float](repeating: marker, count: (tokens - 1) * outStride + count))
        tileDots(tile, w.rows, first, count, x.row(), tokens, tile, out.pointer, outStride)
        let values = out.values("\(name) tileDots")
        for i in values.indices where i % outStride >= count {
            XCTAssertEqual(values[i].bitPattern, marker.bitPattern, "\(name) tileDots wrote between two tokens")
        }
        return (0..<tokens).flatMap { values[$0 * outStride..<$0 * outStride + count] }
    }

    /// An in-place kernel's result.
    func inPlace(_ kernel: Activate, _ x: [Float]) -> [Float] {
        let out = Output(x)
        kernel(out.pointer, x.count)
        return out.values("\(name), in place")
    }

    func softmax(_ scores: [Float], from first: Int = 0, _ largest: Float) -> (weights: [Float], total: Float) {
        let out = Output(scores)
        let total = softmaxWeights(out.pointer, first, scores.count, largest)
        return (out.values("\(name) softmaxWeights"), total)
    }

    /// One query; `keys` position by position.
    func scores(_ query: [Float], _ keys: [UInt16], _ width: Int, _ count: Int, _ scale: Float) -> (
        scores: [Float], largest: Float
    ) {
        let all = scores([query], [count], keys: blocks(keys, width), width, scale)
        return (all.scores[0], all.largest[0])
    }

    /// A tile of queries; the keys in their blocks, in bytes if they have scales.
    func scores<Number: FixedWidthInteger & BitwiseCopyable>(
        _ queries: [[Float]], _ counts: [Int], keys: [Number], scales: [Float] = [], _ width: Int, _ scale: Float
    ) -> (scores: [[Float]], largest: [Float]) {
        let k = Guarded(keys), ks = Guarded(scales)
        let largest = Output<Float>(queries.count), out = Output<Float>(queries.count * rowStride(counts, width))
        withTile(queries, counts, out, width) { tile in
            if Number.self == Int8.self {
                let bytes = UnsafeRawPointer(k.pointer).assumingMemoryBound(to: Int8.self)
                byteScores(tile, bytes, ks.pointer, scale, largest.pointer)
            } else {
                let halves = UnsafeRawPointer(k.pointer).assumingMemoryBound(to: UInt16.self)
                attentionScores(tile, halves, scale, largest.pointer)
            }
        }
        let values = out.values("\(name) scores")
        let rows = counts.indices.map { i in Array(values[(i * rowStride(counts, width))...].prefix(counts[i])) }
        return (rows, largest.values("\(name) largest scores"))
    }

    func weighted(_ weights: [Float], _ values: [UInt16], _ width: Int, _ total: Float) -> [Float] {
        weighted([weights], values: values, width, [total])[0]
    }

    /// A tile of weights; the values in bytes if they have scales.
    /// - Parameter cut: where the positions are cut into two calls; 0 for one call.
    func weighted<Number: FixedWidthInteger & BitwiseCopyable>(
        _ weights: [[Float]], values: [Number], scales: [Float] = [], _ width: Int, _ totals: [Float],
        cut: Int = 0
    ) -> [[Float]] {
        let v = Guarded(values), vs = Guarded(scales), sums = Guarded(totals)
        let counts = weights.map { $0.count }, stride = rowStride(counts, width)
        let rows = Output<Float>([Float](repeating: .nan, count: weights.count * stride))
        for (i, row) in weights.enumerated() { (rows.pointer + i * stride).update(from: row, count: row.count) }
        let out = Output<Float>((weights.count - 1) * stride + width)
        withTile([], counts, rows, width) { tile in
            for first in cut > 0 ? [0, cut] : [0] {
                let isLast = first == cut
                var part = tile
                part.scores += first
                part.counts &-= first
                part.counts.clamp(lowerBound: .zero, upperBound: SIMD4(repeating: isLast ? .max : cut))
                let totals = isLast ? sums.pointer : nil
                if Number.self == Int8.self {
                    let bytes = UnsafeRawPointer(v.pointer).assumingMemoryBound(to: Int8.self) + first * width
                    byteValues(part, bytes, vs.pointer + first, first == 0, totals, out.pointer)
                } else {
                    let halves = UnsafeRawPointer(v.pointer).assumingMemoryBound(to: UInt16.self) + first * width
                    weightedValues(part, halves, first == 0, totals, out.pointer)
                }
            }
        }
        let all = out.values("\(name) weighted values")
        return weights.indices.map { Array(all[($0 * stride)...].prefix(width)) }
    }

    private func rowStride(_ counts: [Int], _ width: Int) -> Int { max((counts.max()! + 15) & ~15, width) }

    private func withTile(
        _ queries: [[Float]], _ counts: [Int], _ scores: Output<Float>, _ width: Int, _ body: (QueryTile) -> Void
    ) {
        let stride = rowStride(counts, width)
        let rows = queries.map { $0 + [Float](repeating: .nan, count: stride - width) }.joined()
        let q = Guarded(Array(rows.dropLast(stride - width)))
        var tile = QueryTile(
            queries: q.pointer, scores: scores.pointer, stride: stride, width: width, rows: counts.count)
        for (i, count) in counts.enumerated() { tile.counts[i] = count }
        withExtendedLifetime(q) { body(tile) }
    }

    func halves(_ x: [Float]) -> [UInt16] {
        let input = Guarded(x), out = Output<UInt16>(x.count)
        toHalf(input.pointer, x.count, out.pointer)
        return out.values("\(name) toHalf")
    }

    func rms(_ x: [Float], _ w: [Float], _ epsilon: Float) -> [Float] {
        let x = Guarded(x), w = Guarded(w), out = Output<Float>(x.count)
        rmsNorm(x.pointer, w.pointer, epsilon, x.count, out.pointer)
        return out.values("\(name) rmsNorm")
    }

    func layer(_ x: [Float], _ w: [Float], _ b: [Float], _ epsilon: Float) -> [Float] {
        let x = Guarded(x), w = Guarded(w), b = Guarded(b), out = Output<Float>(x.count)
        layerNorm(x.pointer, w.pointer, b.pointer, epsilon, x.count, out.pointer)
        return out.values("\(name) layerNorm")
    }

    func rotated(_ x: [Float], _ cosines: [Float], _ sines: [Float]) -> [Float] {
        let c = Guarded(cosines), s = Guarded(sines), out = Output(x)
        rope(out.pointer, c.pointer, s.pointer, cosines.count)
        return out.values("\(name) rope")
    }
}

/// Runs `body` with every kernel set that this build and CPU have.
func forEverySet(_ body: (KernelTable) throws -> Void) rethrows {
    for set in Kernels.available { try body(set) }
}

func scalarKernels() throws -> KernelTable { try Kernels.named("scalar") }

/// Keys position by position to where the kernels want them; what a last block has too many holds ones.
func blocks<Number: FixedWidthInteger>(_ keys: [Number], _ width: Int) -> [Number] {
    let count = keys.count / width
    var out = [Number](repeating: 1, count: (count + 15) / 16 * 16 * width)
    for t in 0..<count {
        for j in 0..<width { out[t / 16 * 16 * width + QueryTile.place(j, width) * 16 + t % 16] = keys[t * width + j] }
    }
    return out
}
