// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
import KernelTable
import _Builtin_intrinsics.arm.neon

/// The exact sums of one group of neurons over `width` columns: `sums[t * width + c]`, four bytes each, in the order of the
/// columns.
@inline(__always)
func groupProducts(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int,
    _ x: QuantizedRows, _ tokens: Int, _ g: Int, _ sums: UnsafeMutableRawPointer
) {
    if tokens == 1 { return addGroup(w, neurons, neuronCount, width, x, g, sums, to: nil) }
    let start = g &* groupSize, end = Swift.min(start &+ groupSize, neuronCount)
    var i = start
    for b in 0..<tokens &* width / 4 { (sums + b &* 16).storeBytes(of: .zero, as: int32x4_t.self) }
    while i < end {
        // Neurons past the end, which are repeats, have an activation of zero.
        let low = w.fourRows(neurons, 0, neuronCount, i), high = w.fourRows(neurons, 0, neuronCount, i &+ 4)
        addEightRows(low, high, width, x, tokens, i, sums)
        i &+= 8
    }
}

/// Adds a group of neurons to `width` totals of one token, or leaves its exact sums in `sums` if there are no totals.
@inline(__always)
func addGroup(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int, _ x: QuantizedRows, _ g: Int,
    _ sums: UnsafeMutableRawPointer, to totals: UnsafeMutablePointer<Float>?
) {
    let start = g &* groupSize, end = Swift.min(start &+ groupSize, neuronCount)
    withUnsafeTemporaryAllocation(of: UnsafeRawPointer.self, capacity: 2 &* mostNeurons) { places in
        let rows = places.baseAddress!
        let most = neuronsPerPass(w.stride)
        var i = start
        while i < end {
            let count = Swift.min(most, end &- i), values = UnsafeRawPointer(x.values + i)
            let sums = GroupSums(
                exact: sums, isFirst: i == start, totals: i &+ most >= end ? totals : nil, scale: x.scales[g])
            if neurons == nil, width == w.stride, i &+ ((count &+ 3) & ~3) <= neuronCount {
                addAdjacentRows(w, i, count, most, values, sums)
            } else {
                let step = locate(w, neurons, neuronCount, width, i, most, rows)
                addRows(rows, count, step, width, values, sums)
            }
            i &+= most
        }
    }
}

/// Where the sums of a group's neurons go: on the first pass they begin, on the last, which has totals, they are multiplied by
/// the activations' scale and added to these.
private struct GroupSums {
    let exact: UnsafeMutableRawPointer, isFirst: Bool
    let totals: UnsafeMutablePointer<Float>?, scale: Float

    /// The sums of the 64 columns from `at` on.
    @inline(__always)
    func begin(_ at: Int) -> (Columns, Columns, Columns, Columns) {
        let none: Columns = (.zero, .zero, .zero, .zero)
        if isFirst { return (none, none, none, none) }
        let place = (exact + 4 &* at).assumingMemoryBound(to: Columns.self)
        return (place[0], place[1], place[2], place[3])
    }

    @inline(__always)
    func end(_ at: Int, _ a: Columns, _ b: Columns, _ c: Columns, _ d: Columns) {
        guard let totals else {
            let place = (exact + 4 &* at).assumingMemoryBound(to: Columns.self)
            (place[0], place[1], place[2], place[3]) = (a, b, c, d)
            return
        }
        @inline(__always) func add(_ sums: Columns, _ k: Int) {
            let p = UnsafeMutableRawPointer(totals + (at &+ 16 &* k)).assumingMemoryBound(to: float32x4_t.self)
            p[0] = vaddq_f32(p[0], vmulq_n_f32(vcvtq_f32_s32(sums.0), scale))
            p[1] = vaddq_f32(p[1], vmulq_n_f32(vcvtq_f32_s32(sums.1), scale))
            p[2] = vaddq_f32(p[2], vmulq_n_f32(vcvtq_f32_s32(sums.2), scale))
            p[3] = vaddq_f32(p[3], vmulq_n_f32(vcvtq_f32_s32(sums.3), scale))
        }
        add(a, 0)
        add(b, 1)
        add(c, 2)
        add(d, 3)
    }
}

/// Neurons that are added to the columns before the next ones, and prefetched while those before them are: as many as
/// leave half of the smallest level-1 cache to the sums. (The distance is in bytes: as a number of rows it would be far
/// too much for long ones.)
private let mostNeurons = 32

@inline(__always)
private func neuronsPerPass(_ stride: Int) -> Int {
    var count = mostNeurons
    while count > 4, count &* stride > 20 << 10 { count &>>= 1 }
    return count
}

/// Writes where `count` neurons' rows are, from the i-th neuron's on, and behind them where to prefetch while the first
/// columns of each are read; returns how much further to prefetch after 64 columns.
@inline(__always)
private func locate(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int, _ i: Int, _ count: Int,
    _ places: UnsafeMutablePointer<UnsafeRawPointer>
) -> Int {
    let ahead = w.adjacentRowsAhead(neurons, 0, neuronCount, i, rows: count, bytes: width)
    for k in 0..<count {
        // Neurons past the end, which are repeats, have an activation of zero.
        places[k] = w.row(neurons, 0, neuronCount, i &+ k)
        places[mostNeurons &+ k] = w.lineAhead(ahead, neurons, 0, neuronCount, i &+ count, k)
    }
    return ahead == nil ? 64 : count &* 64
}

/// Adds neurons' rows, times their activations, to the sums of one token.
@inline(never)
private func addRows(
    _ rows: UnsafeMutablePointer<UnsafeRawPointer>, _ count: Int, _ step: Int, _ width: Int,
    _ values: UnsafeRawPointer, _ sums: GroupSums
) {
    addColumns(count, width, values, sums) { at, k in
        let rows = rows + k, next = rows + mostNeurons
        prefetch(next[0], next[1], next[2], next[3], (at &>> 6) &* step)
        return (rows[0] + at, rows[1] + at, rows[2] + at, rows[3] + at)
    }
}

/// The same for rows that lie one after another, from the i-th on, of which `most` are added in a pass; what follows them is
/// prefetched in the order of memory.
@inline(never)
private func addAdjacentRows(
    _ w: WeightRows, _ i: Int, _ count: Int, _ most: Int, _ values: UnsafeRawPointer, _ sums: GroupSums
) {
    let first = UnsafeRawPointer(w.weights + i &* w.stride)
    var next = first + Swift.max(most &* w.stride, leastPrefetchBytes)
    addColumns(count, w.stride, values, sums) { at, k in
        prefetch(next, next + 64, next + 128, next + 192, 0)
        next += 256
        let row = first + (k &* w.stride &+ at)
        return (row, row + w.stride, row + 2 &* w.stride, row + 3 &* w.stride)
    }
}

/// 64 columns at a time, whose sums stay in registers while four rows after four are added. `rows` tells where those of the
/// k-th and the next three neurons are at a column, before they are read.
@inline(__always)
private func addColumns(
    _ count: Int, _ width: Int, _ values: UnsafeRawPointer, _ sums: GroupSums, rows: (_ at: Int, _ k: Int) -> FourRows
) {
    var at = 0
    while at < width {
        var (a, b, c, d) = sums.begin(at)
        var k = 0
        while k < count {
            let (r0, r1, r2, r3) = rows(at, k)
            let x = fourInputs(values + k)
            addNeurons(&a, (load16(r0), load16(r1), load16(r2), load16(r3)), x)
            addNeurons(&b, (load16(r0 + 16), load16(r1 + 16), load16(r2 + 16), load16(r3 + 16)), x)
            addNeurons(&c, (load16(r0 + 32), load16(r1 + 32), load16(r2 + 32), load16(r3 + 32)), x)
            addNeurons(&d, (load16(r0 + 48), load16(r1 + 48), load16(r2 + 48), load16(r3 + 48)), x)
            k &+= 4
        }
        sums.end(at, a, b, c, d)
        at &+= 64
    }
}

private typealias FourRows = (UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer)

/// Adds the rows of the i-th and the next seven neurons to several tokens' sums. They are interleaved byte by byte in
/// registers once for all tokens, four and four, so that a product step adds the products of four neurons to four columns.
@inline(never)
private func addEightRows(
    _ low: FourRows, _ high: FourRows, _ width: Int, _ x: QuantizedRows, _ tokens: Int, _ i: Int,
    _ sums: UnsafeMutableRawPointer
) {
    var at = 0
    while at < width {
        let a = interleave((load16(low.0 + at), load16(low.1 + at), load16(low.2 + at), load16(low.3 + at)))
        let b = interleave((load16(high.0 + at), load16(high.1 + at), load16(high.2 + at), load16(high.3 + at)))
        for t in 0..<tokens {
            let q = UnsafeRawPointer(x.values + (t &* x.groups &* groupSize &+ i))
            let qa = spread(q.loadUnaligned(as: Int32.self)), qb = spread((q + 4).loadUnaligned(as: Int32.self))
            let s = sums + 4 &* (t &* width &+ at)
            add(s, a.0, qa, b.0, qb)
            add(s + 16, a.1, qa, b.1, qb)
            add(s + 32, a.2, qa, b.2, qb)
            add(s + 48, a.3, qa, b.3, qb)
        }
        at &+= 16
    }
}

@inline(__always)
private func add(
    _ p: UnsafeMutableRawPointer, _ a: int8x16_t, _ qa: int8x16_t, _ b: int8x16_t, _ qb: int8x16_t
) {
    let one = accumulate(p.load(as: int32x4_t.self), a, qa)
    p.storeBytes(of: accumulate(one, b, qb), as: int32x4_t.self)
}

@inline(__always)
func integersAsFloats(_ p: UnsafeMutableRawPointer) -> F16 {
    let s = p.assumingMemoryBound(to: int32x4_t.self)
    return floats(s[0], s[1], s[2], s[3])
}

/// The columns are in order.
@inline(__always)
func place(ofColumns c: Int) -> Int { c }
#endif
