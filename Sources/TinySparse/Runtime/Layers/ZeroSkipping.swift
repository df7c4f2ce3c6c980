// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// Decoding where activations are exactly zero, as ReLU and its relatives make most of them: gates first, then the rows of
/// `up` whose gate is not zero, then the rows of `down` whose quantized value is not. Nothing is predicted, and the bits
/// are those of all rows: a value of zero adds zero to an exact integer sum, and every value keeps its quantization group
/// (docs/NUMERICS.md, 4).
final class ZeroSkipping {
    /// `[groups, 64]`: of each quantization group the neurons to add, and how many.
    private let inputs: AlignedBuffer<Int32>
    private let sizes: AlignedBuffer<Int32>
    /// `[dFF]`, each task's from the place of its first group on: neurons whose gate is not zero, and their products with
    /// rows of `up`.
    private let gated: AlignedBuffer<Int32>
    private let products: AlignedBuffer<Float>
    /// The share of activations that were not zero, of late.
    private var share = 0.0
    private var sinceMeasured = 0

    init(_ shape: LayerShape, in memory: SessionMemory?) throws(RuntimeError) {
        let groups = (shape.dFF + groupSize - 1) / groupSize
        inputs = try AlignedBuffer(groups * groupSize, in: memory)
        sizes = try AlignedBuffer(groups, in: memory)
        gated = try AlignedBuffer(groups * groupSize, in: memory)
        products = try AlignedBuffer(groups * groupSize, in: memory)
    }

    /// Whether activations are sparse enough: above this share, rows in order are read faster than some of them. Where
    /// they are not, now and then a layer is decoded this way to see whether that is still so.
    func pays() -> Bool {
        sinceMeasured += 1
        return share < 0.6 || sinceMeasured > 1000
    }

    /// `out = W_down h` of one token, over the neurons that `active` lists, or all.
    /// - Parameters:
    ///   - t: the token's place in `active` and in the buffers of `mlp`.
    ///   - experts: what the neurons of a mixture are multiplied by.
    func decode(
        _ mlp: MLP, _ layer: Weights.Layer, _ x: QuantizedRows, _ active: ActiveSets?, _ t: Int,
        _ experts: ExpertWeights?, into out: UnsafeMutablePointer<Float>
    ) {
        let context = mlp.context, total = context.shape.dFF
        let list = active?.list(t), count = active?.count(t) ?? total
        let groups = (count + groupSize - 1) / groupSize
        let bytes = (layer.gate ?? layer.up).rowBytes
        let some = max(context.pool.partition.rowsPerTask(count, rowBytes: bytes) / groupSize, 1)
        context.pool.run((groups + some - 1) / some) { task, worker in
            let first = task * some * groupSize
            let some = min(some * groupSize, count - first)
            activate(mlp, layer, x, list, t, first, some, worker)
            let values = mlp.neurons.pointer + (t * total + first)
            experts?.apply(to: values, first: first, some)
            mlp.quantized.set(t, from: first, values, some, context.kernels)
            pack(mlp.quantized.row(t), list, first, some)
        }
        let row = mlp.quantized.row(t, count: count)
        context.neuronSums.multiply(
            row, inputs: inputs.pointer, sizes: sizes.pointer, ProductTarget(map: layer.down, out: out))
        measure(count)
    }

    /// Activations of `count` neurons from place `first` of the list on.
    private func activate(
        _ mlp: MLP, _ layer: Weights.Layer, _ x: QuantizedRows, _ list: UnsafePointer<Int32>?, _ t: Int, _ first: Int,
        _ count: Int, _ worker: Int
    ) {
        let context = mlp.context
        let start = t * context.shape.dFF + first
        let values = mlp.neurons.pointer + start
        let rows = list.map { $0 + first }, firstRow = list == nil ? first : 0
        if let gate = layer.gate {
            context.products.rows(gate, rows, firstRow, count, x, 1, worker, into: mlp.gates.pointer + start)
            mlp.activate(mlp.gates.pointer + start, count)
            multiplyUp(mlp, layer.up, x, list, t, first, count, worker)
        } else {
            context.products.rows(layer.up, rows, firstRow, count, x, 1, worker, into: values)
            mlp.activate(values, count)
        }
    }

    /// `neurons = up(x) * gates` where the gate is not zero, and zero elsewhere.
    private func multiplyUp(
        _ mlp: MLP, _ up: Linear, _ x: QuantizedRows, _ list: UnsafePointer<Int32>?, _ t: Int, _ first: Int,
        _ count: Int, _ worker: Int
    ) {
        let context = mlp.context, kernels = context.kernels
        let start = t * context.shape.dFF + first
        let gates = mlp.gates.pointer + start, values = mlp.neurons.pointer + start
        let products = products.pointer + first
        values.update(repeating: 0, count: count)
        // The kernel that finds them writes up to sixteen numbers too many.
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: count + 16) { found in
            let found = found.baseAddress!, gated = gated.pointer + first
            let some = kernels.indicesAtLeast(gates, count, .leastNonzeroMagnitude, found)
            for i in 0..<some { gated[i] = list.map { $0[first + Int(found[i])] } ?? Int32(first) + found[i] }
            context.products.rows(up, gated, 0, some, x, 1, worker, into: products)
            if context.shape.activatesUp { mlp.activate(products, some) }
            for i in 0..<some { values[Int(found[i])] = products[i] * gates[Int(found[i])] }
        }
    }

    /// Moves the values that are not zero to the front of their groups, and notes whose they are.
    private func pack(_ row: QuantizedRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int) {
        let values = UnsafeMutablePointer(mutating: row.values)
        for group in stride(from: first, to: first + count, by: groupSize) {
            var kept = 0
            for place in group..<min(group + groupSize, first + count) {
                let value = values[place]
                guard value != 0 else { continue }
                values[group + kept] = value
                inputs.pointer[group + kept] = list?[place] ?? Int32(place)
                kept += 1
            }
            // A scale that is not finite has to reach the logits, though its values are all zero.
            if kept == 0, !row.scales[group / groupSize].isFinite {
                inputs.pointer[group] = list?[group] ?? Int32(group)
                kept = 1
            }
            (values + (group + kept)).update(repeating: 0, count: groupSize - kept)
            sizes.pointer[group / groupSize] = Int32(kept)
        }
    }

    private func measure(_ count: Int) {
        let groups = (count + groupSize - 1) / groupSize
        let kept = (0..<groups).reduce(0) { $0 + Int(sizes.pointer[$1]) }
        share += 0.05 * (Double(kept) / Double(max(count, 1)) - share)
        sinceMeasured = 0
    }
}
