// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target, like Elementwise.swift: sums over neuron-major rows
// (docs/NUMERICS.md, 4). Each set defines `groupProducts`, the exact sums of one group for some tokens, in an order of
// columns of its own, and `place(ofColumns:)`, which undoes that order. NEON also brings `addGroup`.

import KernelTable

func neuronSums(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ count: Int,
    _ x: QuantizedRows, _ tokens: Int, _ scratch: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>,
    _ outStride: Int
) {
    let width = (count &+ 63) & ~63
    let totals = (scratch + tokens &* width &* 4).assumingMemoryBound(to: Float.self)
    totals.update(repeating: 0, count: tokens &* width)
    for g in 0..<x.groups {
        // One token, the usual case, is compiled by itself.
        if tokens == 1 {
            addGroup(w, neurons, neuronCount, width, x, g, scratch, to: totals)
            continue
        }
        groupProducts(w, neurons, neuronCount, width, x, tokens, g, scratch)
        for t in 0..<tokens {
            let place = t &* width
            add(scratch + place &* 4, width, times: x.token(t).scales[g], to: totals + place)
        }
    }
    for t in 0..<tokens { finish(totals + t &* width, w, count, out + t &* outStride) }
}

func sparseNeuronSums(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>, _ sizes: UnsafePointer<Int32>, _ count: Int,
    _ x: QuantizedRows, _ scratch: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>
) {
    let width = (count &+ 63) & ~63
    let totals = (scratch + width &* 4).assumingMemoryBound(to: Float.self)
    totals.update(repeating: 0, count: width)
    for g in 0..<x.groups where sizes[g] > 0 {
        let group = x.groups(from: g, count: groupSize)
        addGroup(w, neurons + g &* groupSize, Int(sizes[g]), width, group, 0, scratch, to: totals)
    }
    finish(totals, w, count, out)
}

#if !KERNELS_ARM
/// Adds a group of neurons to `width` totals of one token.
@inline(__always)
private func addGroup(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ width: Int, _ x: QuantizedRows, _ g: Int,
    _ scratch: UnsafeMutableRawPointer, to totals: UnsafeMutablePointer<Float>
) {
    groupProducts(w, neurons, neuronCount, width, x, 1, g, scratch)
    add(scratch, width, times: x.scales[g], to: totals)
}
#endif

/// Adds the exact sums of a group, times its scale, to `width` totals.
@inline(__always)
private func add(
    _ sums: UnsafeMutableRawPointer, _ width: Int, times scale: Float, to totals: UnsafeMutablePointer<Float>
) {
    var c = 0
    while c < width {
        store(load(totals + c) + integersAsFloats(sums + c &* 4) * scale, totals + c)
        c &+= 16
    }
}

func neuronGroups(
    _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ count: Int,
    _ x: QuantizedRows, _ scratch: UnsafeMutableRawPointer, _ contributions: UnsafeMutablePointer<Float>
) {
    let width = (count &+ 63) & ~63
    for g in 0..<x.groups {
        groupProducts(w, neurons, neuronCount, width, x, 1, g, scratch)
        let scale = x.scales[g]
        let to = contributions + g &* width
        var c = 0
        while c < width {
            store(integersAsFloats(scratch + c &* 4) * scale, to + c)
            c &+= 16
        }
    }
}

func groupSums(
    _ w: WeightRows, _ contributions: UnsafeMutablePointer<Float>, _ groups: Int, _ count: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    let width = (count &+ 63) & ~63
    var c = 0
    while c < width {
        var acc = F16.zero
        for g in 0..<groups { acc += load(contributions + (g &* width &+ c)) }
        store(acc, contributions + c)
        c &+= 16
    }
    finish(contributions, w, count, out)
}

/// Puts the columns back in order, and gives them their scales and biases.
private func finish(
    _ totals: UnsafePointer<Float>, _ w: WeightRows, _ count: Int, _ out: UnsafeMutablePointer<Float>
) {
    var c = 0
    while c &+ 16 <= count {
        @inline(__always) func four(_ c: Int) -> SIMD4<Float> {
            UnsafeRawPointer(totals + place(ofColumns: c)).loadUnaligned(as: SIMD4<Float>.self)
        }
        let sums = F16(
            lowHalf: SIMD8(lowHalf: four(c), highHalf: four(c &+ 4)),
            highHalf: SIMD8(lowHalf: four(c &+ 8), highHalf: four(c &+ 12)))
        var y = sums * load(w.scales + c)
        if let bias = w.bias { y += load(bias + c) }
        store(y, out + c)
        c &+= 16
    }
    while c < count {
        let y = (totals + place(ofColumns: c & ~3))[c & 3] * w.scales[c]
        out[c] = w.bias.map { y + $0[c] } ?? y
        c &+= 1
    }
}
