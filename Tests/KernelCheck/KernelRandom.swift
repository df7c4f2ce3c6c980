// SPDX-License-Identifier: Apache-2.0

// Random shapes: a set against plain Swift.

import SIMDKernels

func checkRandom(_ set: KernelTable, plain: KernelTable) -> Tally {
    var tally = Tally()
    var random = Random(state: 1)
    for _ in 0..<60 { products(set, plain, &random, &tally) }
    for _ in 0..<60 { vectors(set, plain, &random, &tally) }
    for _ in 0..<30 { attention(set, plain, &random, &tally) }
    return tally
}

private func matrix(_ random: inout Random, rows: Int, columns: Int, outputs: Int) -> Weights {
    let stride = (columns + 63) & ~63
    var bytes = [Int8](repeating: 0, count: rows * stride)
    // Now and then nothing but extremes, where 16 bits are tightest.
    let extreme = random.below(4) == 0
    for r in 0..<rows {
        for c in 0..<columns { bytes[r * stride + c] = extreme ? (random.below(2) == 0 ? 127 : -127) : random.byte() }
    }
    let bias = random.below(2) == 0 ? [] : random.floats(outputs + 64)
    return Weights(bytes: bytes, stride: stride, scales: random.floats(outputs + 64), bias: bias)
}

/// Ascending, about half of them, at least one.
private func some(of count: Int, _ random: inout Random) -> [Int32] {
    let kept = (0..<count).filter { _ in random.below(2) == 0 }.map { Int32($0) }
    return kept.isEmpty ? [0] : kept
}

private func products(_ set: KernelTable, _ plain: KernelTable, _ random: inout Random, _ tally: inout Tally) {
    let a = Products(set: set), b = Products(set: plain)
    let outputs = 1 + random.below(90), inputs = 1 + random.below(300), tokens = 1 + random.below(10)
    let flat = random.below(4) == 0
    let x = (0..<tokens).map { _ in flat ? [Float](repeating: -1, count: inputs) : random.floats(inputs) }
    let rows = matrix(&random, rows: outputs, columns: inputs, outputs: outputs)
    let xa = Quantized(x[0], set), xb = Quantized(x[0], plain)
    tally.compare(xa.values, xb.values, "quantize")
    tally.compare(xa.scales, xb.scales, "quantize scales")
    tally.compare(xa.sums, xb.sums, "quantize sums")
    let list = some(of: outputs, &random)
    tally.compare(a.rows(rows, list, list.count, xa), b.rows(rows, list, list.count, xb), "rows gathered")
    tally.compare(a.rows(rows, nil, outputs, xa), b.rows(rows, nil, outputs, xb), "rows")
    let all = Quantized(tokens: x, set)
    tally.compare(
        a.tiles(rows, outputs: outputs, neurons: nil, all, tokens: tokens),
        b.tiles(rows, outputs: outputs, neurons: nil, all, tokens: tokens), "tiles")

    let columns = matrix(&random, rows: inputs, columns: outputs, outputs: outputs)
    tally.compare(
        a.neurons(columns, nil, inputs, outputs, xa), b.neurons(columns, nil, inputs, outputs, xb), "neurons")
    let active = some(of: inputs, &random)
    let h = Quantized(random.floats(active.count), set)
    let gathered = b.neurons(columns, active, active.count, outputs, h)
    tally.compare(a.neurons(columns, active, active.count, outputs, h), gathered, "neurons gathered")
    tally.compare(a.neuronsByGroups(columns, active, outputs, h), gathered, "neurons by groups")
    tally.compare(
        a.tiles(columns, outputs: outputs, neurons: inputs, all, tokens: tokens),
        b.tiles(columns, outputs: outputs, neurons: inputs, all, tokens: tokens), "neurons by tiles")
}

private func vectors(_ set: KernelTable, _ plain: KernelTable, _ random: inout Random, _ tally: inout Tally) {
    let n = 1 + random.below(200)
    let x = random.floats(n).map { $0 * 8 }, y = random.floats(n), z = random.floats(n)
    func inPlace(_ what: String, _ f: (KernelTable, UnsafeMutablePointer<Float>) -> Void) {
        var a = x, b = x
        f(set, &a)
        f(plain, &b)
        tally.compare(a, b, what)
    }
    inPlace("add") { $0.add($1, y, n) }
    inPlace("multiply") { $0.multiply($1, y, n) }
    inPlace("relu") { $0.relu($1, n) }
    inPlace("silu") { $0.silu($1, n) }
    inPlace("gelu") { $0.gelu($1, n) }
    inPlace("gelu_erf") { $0.geluErf($1, n) }
    inPlace("rope") { $0.rope($1, y, z, n / 2) }
    inPlace("rms norm") { $0.rmsNorm(x, y, 1e-5, n, $1) }
    inPlace("layer norm") { $0.layerNorm(x, y, z, 1e-5, n, $1) }
    let row = (0..<n).map { _ in random.byte() }
    inPlace("expand row") { $0.expandRow(row, y[0], n, $1) }
    var a = [UInt16](repeating: 0, count: n), b = a
    set.toHalf(x, n, &a)
    plain.toHalf(x, n, &b)
    tally.compare(a, b, "to half")
}

private func attention(_ set: KernelTable, _ plain: KernelTable, _ random: inout Random, _ tally: inout Tally) {
    let width = 16 * (1 + random.below(10)), count = 1 + random.below(70)
    let room = (count + 15) & ~15
    func halves() -> [UInt16] {
        var out = [UInt16](repeating: 0, count: width * room)
        plain.toHalf(random.floats(width * room), width * room, &out)
        return out
    }
    let k = halves(), v = halves()
    // A tile of queries that see fewer positions than there are.
    let rows = 1 + random.below(QueryTile.most), stride = max(width, (count + 15) & ~15)
    let queries = (0..<rows).flatMap { _ in random.floats(stride) }
    let shortest = max(count - random.below(20), 1)
    func run(_ set: KernelTable) -> [Float] {
        var scores = [Float](repeating: 0, count: rows * stride), out = scores
        var numbers = [Float](repeating: 0, count: rows)
        queries.withUnsafeBufferPointer { q in
            scores.withUnsafeMutableBufferPointer { s in
                var tile = QueryTile(
                    queries: q.baseAddress!, scores: s.baseAddress!, stride: stride, width: width, rows: rows)
                for i in 0..<rows { tile.counts[i] = min(shortest + 5 * i, count) }
                set.attentionScores(tile, k, 0.125, &numbers)
                for i in 0..<rows {
                    let row = tile.scores + i * stride
                    numbers[i] = set.softmaxWeights(row, 0, tile.counts[i], numbers[i])
                    for t in tile.counts[i]..<stride { row[t] = 0 }
                }
                set.weightedValues(tile, v, true, numbers, &out)
            }
        }
        return out + scores + numbers
    }
    tally.compare(run(set), run(plain), "attention")
}
