// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target, like Elementwise.swift: attention of a tile of queries
// over cached keys and values in half precision, or in bytes (docs/NUMERICS.md, 8). NEON has scores of its own.

import KernelTable

func toHalf(_ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<UInt16>) {
    for i in 0..<count {
        let low: Float = x[i] > -65504 ? x[i] : -65504
        let v: Float = low < 65504 ? low : 65504
        out[i] = halfBits(v)
    }
}

/// A finite half's bits, rounded to nearest even.
@inline(__always)
func halfBits(_ v: Float) -> UInt16 {
    let bits = v.bitPattern
    let sign = UInt16(truncatingIfNeeded: (bits &>> 16) & 0x8000)
    let size = bits & 0x7FFF_FFFF
    if size < 0x3880_0000 {
        // Below the normal halves: adding 0.5 leaves the subnormal's digits, rounded, in the low bits.
        let shifted = Float(bitPattern: size) + 0.5
        return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3F00_0000)
    }
    let rounded = size &+ 0xFFF &+ ((size &>> 13) & 1)
    return sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) &>> 13)
}

func toBytes(_ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Int8>) -> Float {
    var largest: Float = 0
    for i in 0..<count { largest = x[i].magnitude > largest ? x[i].magnitude : largest }
    guard largest >= 1e-30, largest < .infinity else {
        // Not finite: the scale carries it on, so that the logits show it.
        for i in 0..<count { out[i] = 0 }
        return largest < 1e-30 ? 0 : .nan
    }
    let inverse = 127 / largest
    for i in 0..<count {
        out[i] = Int8(truncatingIfNeeded: Int32(bitPattern: (x[i] * inverse + roundingMagic).bitPattern) &- 0x4B40_0000)
    }
    return largest / 127
}

#if !KERNELS_ARM
func attentionScores(
    _ tile: QueryTile, _ keys: UnsafePointer<UInt16>, _ scale: Float, _ largest: UnsafeMutablePointer<Float>
) {
    scores(tile, Halves(numbers: keys), scale, largest)
}

func byteScores(
    _ tile: QueryTile, _ keys: UnsafePointer<Int8>, _ keyScales: UnsafePointer<Float>, _ scale: Float,
    _ largest: UnsafeMutablePointer<Float>
) {
    scores(tile, Bytes(numbers: keys, scales: keyScales), scale, largest)
}
#endif

func softmaxWeights(
    _ scores: UnsafeMutablePointer<Float>, _ first: Int, _ count: Int, _ largest: Float
) -> Float {
    var acc = F16.zero
    var i = 0
    // The blocks that begin before the first.
    while i < first {
        acc += partWeights(scores + i, first &- i, Swift.min(count &- i, 16), largest)
        i &+= 16
    }
    while i &+ 16 <= count {
        let e = exponential(load(scores + i) - largest)
        store(e, scores + i)
        acc += e
        i &+= 16
    }
    if i < count { acc += partWeights(scores + i, 0, count &- i, largest) }
    return tree(acc)
}

/// The weights of up to `count` scores, at most sixteen, of which those before `first` weigh nothing; in place, too.
@inline(__always)
private func partWeights(
    _ scores: UnsafeMutablePointer<Float>, _ first: Int, _ count: Int, _ largest: Float
) -> F16 {
    let e = exponential(loadPart(scores, count) - largest)
    var kept = F16.zero
    for l in 0..<count where l >= first { kept[l] = e[l] }
    storePart(kept, scores, count)
    return kept
}

func weightedValues(
    _ tile: QueryTile, _ values: UnsafePointer<UInt16>, _ isFirst: Bool, _ totals: UnsafePointer<Float>?,
    _ out: UnsafeMutablePointer<Float>
) {
    sums(tile, Halves(numbers: values), isFirst, totals, out)
}

func byteValues(
    _ tile: QueryTile, _ values: UnsafePointer<Int8>, _ valueScales: UnsafePointer<Float>, _ isFirst: Bool,
    _ totals: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>
) {
    sums(tile, Bytes(numbers: values, scales: valueScales), isFirst, totals, out)
}

/// Keys or values as a cache keeps them: sixteen numbers as floats, and what a position's numbers are multiplied by.
private protocol Stored {
    func vector(_ at: Int) -> F16
    func factor(_ t: Int) -> Float
    func factors(_ t: Int) -> F16
}

private struct Halves: Stored {
    let numbers: UnsafePointer<UInt16>

    @inline(__always) func vector(_ at: Int) -> F16 { loadHalves(numbers + at) }
    @inline(__always) func factor(_ t: Int) -> Float { 1 }
    @inline(__always) func factors(_ t: Int) -> F16 { F16(repeating: 1) }
}

private struct Bytes: Stored {
    let numbers: UnsafePointer<Int8>
    let scales: UnsafePointer<Float>

    @inline(__always) func vector(_ at: Int) -> F16 { loadBytes(numbers + at) }
    @inline(__always) func factor(_ t: Int) -> Float { scales[t] }
    @inline(__always) func factors(_ t: Int) -> F16 { load(scales + t) }
}

/// The rows of a tile as a type, for each of which the kernels are compiled.
private protocol Rows { static var count: Int { get } }
private enum One: Rows { static var count: Int { 1 } }
private enum Two: Rows { static var count: Int { 2 } }
private enum Three: Rows { static var count: Int { 3 } }
private enum Four: Rows { static var count: Int { 4 } }

/// A vector of each row; those that a tile has not cost nothing.
private struct RowVectors<R: Rows> {
    var a, b, c, d: F16

    @inline(__always)
    init(repeating v: F16) { (a, b, c, d) = (v, v, v, v) }

    /// The vector times a number of each row; from one row's to the next it is `stride`.
    @inline(__always)
    init(_ v: F16, times x: UnsafePointer<Float>, _ stride: Int, _ factor: Float = 1) {
        self.init(repeating: v * (x[0] * factor))
        if R.count > 1 { b = v * (x[stride] * factor) }
        if R.count > 2 { c = v * (x[2 &* stride] * factor) }
        if R.count > 3 { d = v * (x[3 &* stride] * factor) }
    }

    @inline(__always)
    static func += (sum: inout Self, x: Self) {
        sum.a += x.a
        if R.count > 1 { sum.b += x.b }
        if R.count > 2 { sum.c += x.c }
        if R.count > 3 { sum.d += x.d }
    }

    /// Every row's vector, to be changed.
    @inline(__always)
    mutating func each(_ body: (Int, inout F16) -> Void) {
        body(0, &a)
        if R.count > 1 { body(1, &b) }
        if R.count > 2 { body(2, &c) }
        if R.count > 3 { body(3, &d) }
    }
}

#if !KERNELS_ARM
@inline(__always)
private func scores<Keys: Stored>(
    _ tile: QueryTile, _ keys: Keys, _ scale: Float, _ largest: UnsafeMutablePointer<Float>
) {
    switch tile.rows {
    case 1: scoreRows(One.self, tile, keys, scale, largest)
    case 2: scoreRows(Two.self, tile, keys, scale, largest)
    case 3: scoreRows(Three.self, tile, keys, scale, largest)
    default: scoreRows(Four.self, tile, keys, scale, largest)
    }
}

@inline(never)
private func scoreRows<R: Rows, Keys: Stored>(
    _: R.Type, _ tile: QueryTile, _ keys: Keys, _ scale: Float, _ largest: UnsafeMutablePointer<Float>
) {
    var best = RowVectors<R>(repeating: F16(repeating: -.infinity))
    let longest = tile.counts[R.count &- 1]
    var t = 0
    while t < longest {
        var sums = blockSums(R.self, tile, keys, t)
        let factors = keys.factors(t)
        sums.each { i, sum in
            sum = (sum * factors) * scale
            store(sum, tile.scores + (i &* tile.stride &+ t))
        }
        if t &+ 16 <= tile.counts[0] {
            best.a = vmax(sums.a, best.a)
            if R.count > 1 { best.b = vmax(sums.b, best.b) }
            if R.count > 2 { best.c = vmax(sums.c, best.c) }
            if R.count > 3 { best.d = vmax(sums.d, best.d) }
        }
        t &+= 16
    }
    best.each { i, best in largest[i] = most(best, tile, i) }
}

/// The sums of one block, compiled for the usual widths.
@inline(__always)
private func blockSums<R: Rows, Keys: Stored>(
    _: R.Type, _ tile: QueryTile, _ keys: Keys, _ t: Int
) -> RowVectors<R> {
    if R.count == 3 {
        // Left to itself, the compiler makes vectors of three vectors, and takes them apart lane by lane.
        var last = tile
        last.queries += 2 &* tile.stride
        let two = blockSums(Two.self, tile, keys, t), one = blockSums(One.self, last, keys, t)
        var sums = RowVectors<R>(repeating: one.a)
        sums.a = two.a
        sums.b = two.b
        return sums
    }
    return switch tile.width {
    case 32: laneSums(R.self, tile, 32, keys, t &* 32)
    case 64: laneSums(R.self, tile, 64, keys, t &* 64)
    default: laneSums(R.self, tile, tile.width, keys, t &* tile.width)
    }
}

/// The sums of sixteen positions, one position per lane: the sixteen lanes of the contract are then vectors of their
/// own, and meet by plain additions, in the order of the tree, in which the keys lie.
@inline(__always)
private func laneSums<R: Rows, Keys: Stored>(
    _: R.Type, _ tile: QueryTile, _ width: Int, _ keys: Keys, _ block: Int
) -> RowVectors<R> {
    var at = block
    @inline(__always) func lane(_ l: Int) -> RowVectors<R> {
        var sum = RowVectors<R>(keys.vector(at), times: tile.queries + l, tile.stride)
        at &+= 16
        var j = l &+ 16
        while j < width {
            sum += RowVectors(keys.vector(at), times: tile.queries + j, tile.stride)
            at &+= 16
            j &+= 16
        }
        return sum
    }
    // Adding to -0 changes nothing, the sign of a zero included.
    let nothing = RowVectors<R>(repeating: F16(repeating: -0.0))
    var all = nothing
    for a in 0..<2 {
        var half = nothing
        for b in 0..<2 {
            var quarter = nothing
            for c in 0..<2 {
                let l = a &+ 2 &* b &+ 4 &* c
                var eighth = lane(l)
                eighth += lane(l &+ 8)
                quarter += eighth
            }
            half += quarter
        }
        all += half
    }
    // A sum that starts from +0, as the contract's do, is never -0; these, which start from a product, may be.
    all += RowVectors(repeating: .zero)
    return all
}

/// The largest of the whole blocks, and of a row's scores in the others.
@inline(never)
private func most(_ best: F16, _ tile: QueryTile, _ i: Int) -> Float {
    var most = largestLane(best)
    let scores = tile.scores + i &* tile.stride
    for t in (tile.counts[0] & ~15)..<tile.counts[i] { most = scores[t] > most ? scores[t] : most }
    return most
}
#endif

@inline(__always)
private func sums<Values: Stored>(
    _ tile: QueryTile, _ values: Values, _ isFirst: Bool, _ totals: UnsafePointer<Float>?,
    _ out: UnsafeMutablePointer<Float>
) {
    if isFirst { for i in 0..<tile.rows { (out + i &* tile.stride).update(repeating: 0, count: tile.width) } }
    switch tile.rows {
    case 1: sumRows(One.self, tile, values, out)
    case 2: sumRows(Two.self, tile, values, out)
    case 3: sumRows(Three.self, tile, values, out)
    default: sumRows(Four.self, tile, values, out)
    }
    for i in 0..<tile.rows { endRow(tile, i, values, totals.map { $0[i] }, out + i &* tile.stride) }
}

/// Sums over the positions that all rows see, as many columns at a time as there are registers for. The positions
/// come in pieces that stay in the nearest cache until all columns have been there.
@inline(never)
private func sumRows<R: Rows, Values: Stored>(
    _: R.Type, _ tile: QueryTile, _ values: Values, _ out: UnsafeMutablePointer<Float>
) {
    let vectors = R.count == 1 || accumulators >= 16 ? 4 : (R.count == 2 ? 2 : 1)
    var first = 0
    while first < tile.counts[0] {
        let positions = first..<Swift.min(first &+ 64, tile.counts[0])
        var j = 0
        while j &+ 16 &* vectors <= tile.width {
            sumColumns(R.self, tile, vectors, values, positions, j, out + j)
            j &+= 16 &* vectors
        }
        if vectors > 1 {
            while j < tile.width {
                sumColumns(R.self, tile, 1, values, positions, j, out + j)
                j &+= 16
            }
        }
        first &+= 64
    }
}

/// Adds to one to four vectors of columns from the j-th on.
@inline(__always)
private func sumColumns<R: Rows, Values: Stored>(
    _: R.Type, _ tile: QueryTile, _ vectors: Int, _ values: Values, _ positions: Range<Int>, _ j: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    @inline(__always) func sums(_ k: Int) -> RowVectors<R> {
        var sums = RowVectors<R>(repeating: .zero)
        if vectors > k { sums.each { i, sum in sum = load(out + (i &* tile.stride &+ 16 &* k)) } }
        return sums
    }
    var a = sums(0), b = sums(1), c = sums(2), d = sums(3)
    for t in positions {
        let at = t &* tile.width &+ j, weights = tile.scores + t, factor = values.factor(t)
        @inline(__always) func products(_ k: Int) -> RowVectors<R> {
            RowVectors(values.vector(at &+ 16 &* k), times: weights, tile.stride, factor)
        }
        a += products(0)
        if vectors > 1 { b += products(1) }
        if vectors > 2 { c += products(2) }
        if vectors > 3 { d += products(3) }
    }
    a.each { i, sum in store(sum, out + i &* tile.stride) }
    if vectors > 1 { b.each { i, sum in store(sum, out + (i &* tile.stride &+ 16)) } }
    if vectors > 2 { c.each { i, sum in store(sum, out + (i &* tile.stride &+ 32)) } }
    if vectors > 3 { d.each { i, sum in store(sum, out + (i &* tile.stride &+ 48)) } }
}

/// The positions that only this row and later ones see, and the division if these are the last positions.
@inline(__always)
private func endRow<Values: Stored>(
    _ tile: QueryTile, _ i: Int, _ values: Values, _ total: Float?, _ out: UnsafeMutablePointer<Float>
) {
    let weights = tile.scores + i &* tile.stride
    guard total != nil || tile.counts[i] > tile.counts[0] else { return }
    var j = 0
    while j < tile.width {
        var sum = load(out + j)
        for t in tile.counts[0]..<tile.counts[i] {
            sum += values.vector(t &* tile.width &+ j) * (weights[t] * values.factor(t))
        }
        store(total.map { sum / $0 } ?? sum, out + j)
        j &+= 16
    }
}
