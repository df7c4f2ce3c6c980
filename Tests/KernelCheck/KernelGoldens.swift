// SPDX-License-Identifier: Apache-2.0

// The golden function files, case by case.

import SIMDKernels

func checkGoldens(_ set: KernelTable, _ folder: String) -> Tally {
    var tally = Tally()
    elementwise(set, folder, &tally)
    norms(set, folder, &tally)
    products(set, folder, &tally)
    attention(set, folder, &tally)
    return tally
}

private func elementwise(_ set: KernelTable, _ folder: String, _ tally: inout Tally) {
    let functions: [(String, Activate)] = [
        ("silu", set.silu), ("relu", set.relu), ("gelu", set.gelu), ("gelu_erf", set.geluErf),
    ]
    for (name, function) in functions {
        var f = Fields(folder + name + ".bin")
        while !f.isAtEnd {
            var x = f.floats()
            function(&x, x.count)
            tally.compare(x, f.floats(), name)
        }
    }
    var f = Fields(folder + "half.bin")
    while !f.isAtEnd {
        let x = f.floats(), want = f.next(UInt16.self)
        _ = f.floats()
        var bits = [UInt16](repeating: 0, count: x.count)
        set.toHalf(x, x.count, &bits)
        tally.compare(bits, want, "half")
    }
    f = Fields(folder + "rope.bin")
    while !f.isAtEnd {
        var x = f.floats()
        let cosines = f.floats(), sines = f.floats()
        set.rope(&x, cosines, sines, cosines.count)
        tally.compare(x, f.floats(), "rope")
    }
    f = Fields(folder + "softmax.bin")
    while !f.isAtEnd {
        var s = f.floats()
        let largest = s.reduce(-Float.infinity) { $1 > $0 ? $1 : $0 }
        let total = set.softmaxWeights(&s, 0, s.count, largest)
        tally.compare(s, f.floats(), "softmax")
        tally.compare([total], f.floats(), "softmax sum")
    }
    f = Fields(folder + "quantize.bin")
    while !f.isAtEnd {
        let x = Quantized(f.floats(), set)
        tally.compare(x.values, f.next(Int8.self), "quantize")
        tally.compare(x.scales, f.floats(), "quantize scales")
    }
}

private func norms(_ set: KernelTable, _ folder: String, _ tally: inout Tally) {
    var f = Fields(folder + "rms_norm.bin")
    while !f.isAtEnd {
        let x = f.floats(), w = f.floats(), epsilon = f.floats()[0]
        var out = [Float](repeating: 0, count: x.count)
        set.rmsNorm(x, w, epsilon, x.count, &out)
        tally.compare(out, f.floats(), "rms_norm")
    }
    f = Fields(folder + "layer_norm.bin")
    while !f.isAtEnd {
        let x = f.floats(), w = f.floats(), b = f.floats(), epsilon = f.floats()[0]
        var out = [Float](repeating: 0, count: x.count)
        set.layerNorm(x, w, b, epsilon, x.count, &out)
        tally.compare(out, f.floats(), "layer_norm")
    }
}

private func products(_ set: KernelTable, _ folder: String, _ tally: inout Tally) {
    let products = Products(set: set)
    var f = Fields(folder + "matvec.bin")
    while !f.isAtEnd {
        let size = f.next(Int32.self).map { Int($0) }
        let m = Weights(bytes: f.next(Int8.self), stride: size[1], scales: padded(f.floats()), bias: padded(f.floats()))
        let x = Quantized(f.floats(), set)
        let want = f.floats()
        tally.compare(products.rows(m, nil, size[0], x), want, "matvec")
        tally.compare(products.tiles(m, outputs: size[0], neurons: nil, x, tokens: 1), want, "matvec by tiles")
    }
    f = Fields(folder + "matvec_neuron_major.bin")
    while !f.isAtEnd {
        let size = f.next(Int32.self).map { Int($0) }
        let m = Weights(bytes: f.next(Int8.self), stride: size[2], scales: padded(f.floats()), bias: padded(f.floats()))
        let active = f.next(Int32.self)
        let x = Quantized(f.floats(), set)
        let want = f.floats()
        tally.compare(
            products.neurons(m, active, active.count, size[1], x), want, "matvec_neuron_major")
        if active.count == size[0] {
            tally.compare(
                products.tiles(m, outputs: size[1], neurons: size[0], x, tokens: 1), want,
                "matvec_neuron_major by tiles")
        }
    }
}

/// Scales and biases with a vector's room after them, as the runtime keeps them.
private func padded(_ x: [Float]) -> [Float] { x.isEmpty ? x : x + [Float](repeating: 0, count: 16) }

private func attention(_ set: KernelTable, _ folder: String, _ tally: inout Tally) {
    var f = Fields(folder + "attention.bin")
    while !f.isAtEnd {
        let size = f.next(Int32.self).map { Int($0) }
        let (heads, kvHeads, d, count) = (size[0], size[1], size[2], size[3])
        let width = (d + 15) & ~15, stride = (count + 15) & ~15
        let q = f.floats(), k = f.next(UInt16.self), v = f.next(UInt16.self)
        var got: [Float] = []
        for head in 0..<heads {
            let kv = head / (heads / kvHeads)
            var keys = [UInt16](repeating: 0, count: stride * width), values = keys
            for t in 0..<count {
                for j in 0..<d {
                    let place = (t & ~15) * width + QueryTile.place(j, width) * 16 + (t & 15)
                    keys[place] = k[(t * kvHeads + kv) * d + j]
                    values[t * width + j] = v[(t * kvHeads + kv) * d + j]
                }
            }
            let query = q[head * d..<(head + 1) * d] + [Float](repeating: 0, count: width - d)
            var scores = [Float](repeating: 0, count: stride)
            var out = [Float](repeating: 0, count: width)
            var number: Float = 0
            Array(query).withUnsafeBufferPointer { q in
                scores.withUnsafeMutableBufferPointer { s in
                    let tile = QueryTile(
                        queries: q.baseAddress!, scores: s.baseAddress!, stride: stride, width: width, rows: 1,
                        counts: SIMD4(count, 0, 0, 0))
                    set.attentionScores(tile, keys, 1 / Float(d).squareRoot(), &number)
                    number = set.softmaxWeights(tile.scores, 0, count, number)
                    set.weightedValues(tile, values, true, &number, &out)
                }
            }
            got += out.prefix(d)
        }
        tally.compare(got, f.floats(), "attention")
    }
}
