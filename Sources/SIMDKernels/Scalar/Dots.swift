// SPDX-License-Identifier: Apache-2.0

// The contract's integer products in scalar Swift: the implementation that the other sets are compared with.

import KernelTable

let tileRows = 16
let tileTokens = 8

func rowDots(
    _ w: WeightRows, _ rows: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    for i in 0..<count {
        let row = rows.map { Int($0[i]) } ?? first &+ i
        for t in 0..<tokens {
            let x = x.token(t)
            let product = dot(w.weights + row &* w.stride, x.values, x.scales, x.groups)
            out[t &* outStride &+ i] = finish(product, w, row)
        }
    }
}

@inline(__always)
func dot(
    _ row: UnsafePointer<Int8>, _ values: UnsafePointer<Int8>, _ scales: UnsafePointer<Float>, _ groups: Int
) -> Float {
    var acc: Float = 0
    for g in 0..<groups {
        var sum: Int32 = 0
        for j in (g &* groupSize)..<(g &+ 1) &* groupSize {
            sum &+= Int32(row[j]) &* Int32(values[j])
        }
        acc += Float(sum) * scales[g]
    }
    return acc
}

@inline(__always)
func finish(_ product: Float, _ w: WeightRows, _ output: Int) -> Float {
    let y = product * w.scales[output]
    return w.bias.map { y + $0[output] } ?? y
}

/// The exact sums of one group of neurons over `width` columns: `sums[t * width + c]`.
func groupProducts(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int,
    _ x: QuantizedRows, _ tokens: Int, _ g: Int, _ sums: UnsafeMutableRawPointer
) {
    let sums = sums.assumingMemoryBound(to: Int32.self)
    for c in 0..<tokens &* width { sums[c] = 0 }
    let start = g &* groupSize
    for i in start..<Swift.min(start &+ groupSize, neuronCount) {
        let row = w.weights + (neurons.map { Int($0[i]) } ?? i) &* w.stride
        for t in 0..<tokens {
            let q = Int32(x.token(t).values[i]), sums = sums + t &* width
            for c in 0..<width { sums[c] &+= Int32(row[c]) &* q }
        }
    }
}

@inline(__always)
func integersAsFloats(_ p: UnsafeMutableRawPointer) -> F16 {
    var v = F16.zero
    for i in 0..<16 { v[i] = Float(p.load(fromByteOffset: i &* 4, as: Int32.self)) }
    return v
}

/// The columns are in order.
@inline(__always)
func place(ofColumns c: Int) -> Int { c }

/// A tile is sixteen rows, one after the other.
func packRows(
    _ w: WeightRows, _ first: Int, _ count: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    let width = groups &* groupSize
    for i in 0..<count {
        (tile + i &* width).copyMemory(from: w.weights + (first &+ i) &* w.stride, byteCount: width)
    }
}

func packColumns(
    _ w: WeightRows, _ neuronCount: Int, _ first: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
) {
    let width = groups &* groupSize
    let to = tile.assumingMemoryBound(to: Int8.self)
    for j in 0..<width {
        for i in 0..<tileRows {
            to[i &* width &+ j] = j < neuronCount ? w.weights[j &* w.stride &+ first &+ i] : 0
        }
    }
}

func tileDots(
    _ tile: UnsafeRawPointer, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ tokens: Int, _ next: UnsafeRawPointer?, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    let width = x.groups &* groupSize
    let rows = tile.assumingMemoryBound(to: Int8.self)
    for t in 0..<tokens {
        for i in 0..<count {
            let product = dot(rows + i &* width, x.values + t &* width, x.scales + t &* x.groups, x.groups)
            out[t &* outStride &+ i] = finish(product, w, first &+ i)
        }
    }
}

// MARK: Limits

let multiplyAddsPerTurn = 64

func multiplyAdds(_ operands: UnsafeRawPointer, _ turns: Int) -> Int32 {
    let values = operands.assumingMemoryBound(to: Int8.self)
    var sum: Int32 = 0
    for turn in 0..<turns {
        let row = values + 64 &* (turn & 15)
        for j in 0..<64 { sum &+= Int32(row[j]) &* Int32(values[j]) }
    }
    return sum
}
