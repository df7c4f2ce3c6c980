// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// Products of neuron-major maps, whose rows are inputs: an output is a sum over the rows of the active inputs.
///
/// The sum goes quantization group by quantization group, so that groups can be split among workers and added up in
/// their order afterwards: the bits are the same however they are split (docs/NUMERICS.md, 5).
final class NeuronSums {
    let kernels: KernelTable
    let pool: WorkerPool
    let scratch: WorkerScratch
    /// From this many tokens on, tiles are faster. (Later than for rows by output: tiles of columns are costly to pack.)
    static let tileThreshold = 16
    /// Tokens that a kernel sums at once: the sums of more would leave the first level of cache.
    static let tokensAtOnce = 8

    init(kernels: KernelTable, pool: WorkerPool, scratch: WorkerScratch) {
        self.kernels = kernels
        self.pool = pool
        self.scratch = scratch
    }

    /// `target.out[t]` = the sum of the active neurons' rows, times their values in `x[t]`.
    /// - Parameter active: which neurons, whose values are contiguous in `x`; nil for all.
    func multiply(_ x: Activations, tokens: Int, active: ActiveSets?, _ target: ProductTarget) {
        let map = target.map
        guard tokens > 1 else {
            return multiply(x, active?.list(0), active?.count(0) ?? map.inputs, target)
        }
        guard let active else { return splitOutputs(map, nil, map.inputs, x.rows(), tokens, target.out) }
        pool.run(tokens) { t, worker in
            let count = active.count(t)
            sum(map, active.list(t), count, x.row(t, count: count), into: target.out + t * map.outputs, worker)
        }
    }

    /// One token: groups of neurons are split, so that each worker reads whole rows.
    private func multiply(_ x: Activations, _ list: UnsafePointer<Int32>?, _ count: Int, _ target: ProductTarget) {
        let all = x.row(0, count: count)
        let some = pool.partition.rowsPerTask(count, rowBytes: target.map.rowBytes) / groupSize * groupSize
        guard some > 0, count > some else { return splitOutputs(target.map, list, count, all, 1, target.out) }
        pool.run((count + some - 1) / some) { task, worker in
            let first = task * some
            sumGroups(target.map, list, first, min(some, count - first), all, worker)
        }
        addGroups(target, count)
    }

    /// One token, whose quantization groups have some of their inputs only, moved to the front: those of group g are the
    /// first `sizes[g]` from `inputs[64 g]` on.
    func multiply(
        _ x: QuantizedRows, inputs: UnsafePointer<Int32>, sizes: UnsafePointer<Int32>, _ target: ProductTarget
    ) {
        splitOutputs(target.map, least: 256) { rows, first, count, worker in
            kernels.sparseNeuronSums(
                rows, inputs, sizes, count, x, scratch.space(worker), target.out + first)
        }
    }

    /// One token whose inputs are zero but for `count` heads of `width`, head h being the inputs from `h * width` on. Only
    /// their rows are read; the bits are those of all.
    func multiply(_ x: QuantizedRows, heads: UnsafePointer<Int32>, count: Int, width: Int, _ target: ProductTarget) {
        let groups = x.groups
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: groups * (groupSize + 1)) { integers in
            withUnsafeTemporaryAllocation(of: Int8.self, capacity: groups * groupSize) { values in
                let inputs = integers.baseAddress!, sizes = inputs + groups * groupSize, values = values.baseAddress!
                sizes.update(repeating: 0, count: groups)
                values.update(repeating: 0, count: groups * groupSize)
                for h in 0..<count {
                    for input in Int(heads[h]) * width..<(Int(heads[h]) + 1) * width {
                        let group = input / groupSize, place = group * groupSize + Int(sizes[group])
                        inputs[place] = Int32(input)
                        values[place] = x.values[input]
                        sizes[group] += 1
                    }
                }
                let packed = QuantizedRows(values: values, scales: x.scales, sums: x.sums, groups: groups)
                multiply(packed, inputs: inputs, sizes: sizes, target)
            }
        }
    }

    /// Few neurons, or several tokens: outputs are split, if there is enough to do.
    private func splitOutputs(
        _ map: Linear, _ list: UnsafePointer<Int32>?, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
        _ out: UnsafeMutablePointer<Float>
    ) {
        splitOutputs(map, least: (1 << 15) / max(count, 1)) { rows, first, some, worker in
            for t in stride(from: 0, to: tokens, by: Self.tokensAtOnce) {
                kernels.neuronSums(
                    rows, list, count, some, x.row(t), min(Self.tokensAtOnce, tokens - t), scratch.space(worker),
                    out + (t * map.outputs + first), map.outputs)
            }
        }
    }

    /// Calls `body` for parts of a map's outputs: with the map's rows from the `first` output on, `count` of them.
    private func splitOutputs(
        _ map: Linear, least: Int, _ body: (_ rows: WeightRows, _ first: Int, _ count: Int, _ worker: Int) -> Void
    ) {
        let some = (max((map.outputs + pool.threads - 1) / pool.threads, least) + 63) & ~63
        pool.run((map.outputs + some - 1) / some) { task, worker in
            let first = task * some
            var rows = map.int8
            rows.weights += first
            rows.scales += first
            rows.bias = rows.bias.map { $0 + first }
            body(rows, first, min(some, map.outputs - first), worker)
        }
    }

    // MARK: Parts of a job, on one worker

    /// All outputs of one token.
    /// - Parameters:
    ///   - list: the neurons, ascending; nil for the first `count`.
    ///   - x: their values.
    func sum(
        _ map: Linear, _ list: UnsafePointer<Int32>?, _ count: Int, _ x: QuantizedRows,
        into out: UnsafeMutablePointer<Float>, _ worker: Int
    ) {
        kernels.neuronSums(map.int8, list, count, map.outputs, x, 1, scratch.space(worker), out, map.outputs)
    }

    /// What the `count` neurons from place `first` of a token's list on add, group by group; `first` is a multiple of
    /// the group size. `addGroups` then makes the outputs.
    /// - Parameter x: the values of the whole list.
    func sumGroups(
        _ map: Linear, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ worker: Int
    ) {
        let group = first / groupSize
        var rows = map.int8
        if list == nil { rows.weights += first * rows.stride }
        kernels.neuronGroups(
            rows, list.map { $0 + first }, count, map.outputs, x.groups(from: group, count: count),
            scratch.space(worker), scratch.groupSums.pointer + group * map.paddedOutputs)
    }

    /// The outputs, once the groups of all `count` neurons have been summed.
    func addGroups(_ target: ProductTarget, _ count: Int) {
        kernels.groupSums(
            target.map.int8, scratch.groupSums.pointer, (count + groupSize - 1) / groupSize, target.map.outputs,
            target.out)
    }
}

extension Linear {
    /// From one group's sums to the next.
    var paddedOutputs: Int { (outputs + 63) & ~63 }
}
