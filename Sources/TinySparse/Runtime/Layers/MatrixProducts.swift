// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// Products of matrices and quantized activations on a team of threads.
///
/// Few tokens: every output is a dot product of a row read in place, from memory once for all of them.
/// Many tokens: tiles of the weights are packed in the worker's scratch, once for all tokens, so that products need no
/// sums across lanes. Both give the same bits, so the choice is one of speed alone.
final class MatrixProducts {
    private let kernels: KernelTable
    private let pool: WorkerPool
    private let scratch: WorkerScratch
    /// Sums of half quantization groups (32) of the activations at hand, for 4-bit weights.
    private let subgroupSums: AlignedBuffer<Float>

    /// - Parameters:
    ///   - widest: the largest number of inputs of any map.
    ///   - capacity: the largest number of tokens.
    init(
        kernels: KernelTable, pool: WorkerPool, scratch: WorkerScratch, widest: Int, capacity: Int,
        in memory: SessionMemory
    ) throws(RuntimeError) {
        self.kernels = kernels
        self.pool = pool
        self.scratch = scratch
        let groups = (widest + groupSize - 1) / groupSize
        subgroupSums = try AlignedBuffer(capacity * groups * 2, in: memory)
    }

    /// `target.out[t] = target.map(x[t])` for every target, in one job; maps with a row for each output.
    func multiply(_ x: QuantizedRows, tokens: Int, _ targets: ProductTarget...) {
        sumSubgroups(x, tokens, targets)
        let inTiles = { [kernels] (map: Linear) in
            tokens >= (map.isFourBit ? kernels.fourBit.tileTokens : kernels.tileTokens)
        }
        split(targets, into: { ($0.outputs, inTiles($0) ? tileRows : rowsPerTask($0.outputs, $0)) }) {
            target, first, count, worker in
            if inTiles(target.map) {
                tile(target, x, tokens, first, count, worker)
            } else {
                rows(target.map, nil, first, count, x, tokens, worker, into: target.out + first)
            }
        }
    }

    /// The same for one map of either order, in tiles.
    func multiplyTiled(_ x: QuantizedRows, tokens: Int, _ target: ProductTarget) {
        sumSubgroups(x, tokens, [target])
        split([target], into: { ($0.outputs, tileRows) }) { target, first, count, worker in
            tile(target, x, tokens, first, count, worker)
        }
    }

    /// `target.out[i] = row rows[i] of target.map, times x` for every target: one token, some rows.
    func gather(_ x: QuantizedRows, rows list: UnsafePointer<Int32>, count: Int, _ targets: ProductTarget...) {
        sumSubgroups(x, 1, targets)
        split(targets, into: { (count, rowsPerTask(count, $0)) }) { target, first, count, worker in
            rows(target.map, list + first, 0, count, x, 1, worker, into: target.out + first)
        }
    }

    /// One token: all of `targets`, and some of the rows of another: `count` runs of `length`, run r of the map becoming
    /// run r of the output.
    func multiply(
        _ x: QuantizedRows, _ targets: ProductTarget..., runs: UnsafePointer<Int32>, count: Int, length: Int,
        of partial: ProductTarget
    ) {
        sumSubgroups(x, 1, partial.map.isFourBit ? [partial] : targets)
        let some = max(rowsPerTask(count * length, partial.map) / length, 1)
        let tasks = (count + some - 1) / some
        // The runs come last: they are the smallest tasks, and even out what the others leave.
        split(targets, into: { ($0.outputs, rowsPerTask($0.outputs, $0)) }, more: tasks) {
            target, first, count, worker in
            rows(target.map, nil, first, count, x, 1, worker, into: target.out + first)
        } rest: { task, worker in
            for r in task * some..<min((task + 1) * some, count) {
                let first = Int(runs[r]) * length
                rows(partial.map, nil, first, length, x, 1, worker, into: partial.out + first)
            }
        }
    }

    // MARK: On the calling thread

    /// Rows of a map times the tokens of `x`, whose subgroup sums are at hand if the map is 4-bit (`sumSubgroups`).
    /// - Parameters:
    ///   - list: which rows; nil for those from `first` on.
    ///   - worker: the one that calls, in whose scratch rows are unpacked.
    ///   - out: a product for each row, contiguous; from one token to the next, `map.outputs`.
    func rows(
        _ map: Linear, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
        _ worker: Int, into out: UnsafeMutablePointer<Float>
    ) {
        switch map.rows {
        case .int8(let weights): kernels.rowDots(weights, list, first, count, x, tokens, out, map.outputs)
        case .fourBit(let weights):
            kernels.fourBit.rowDots(
                weights, list, first, count, x, tokens, subgroupSums.pointer, out, map.outputs)
        case .ternary(let weights):
            kernels.ternary.rowDots(
                weights, list, first, count, x, tokens, scratch.unpackedRows(worker), out, map.outputs)
        }
    }

    /// Makes the subgroup sums of some activations if any of the maps needs them.
    func sumSubgroups(_ x: QuantizedRows, _ tokens: Int, isNeeded: Bool) {
        if isNeeded { kernels.fourBit.halfSums(x, tokens, subgroupSums.pointer) }
    }

    private func sumSubgroups(_ x: QuantizedRows, _ tokens: Int, _ targets: [ProductTarget]) {
        sumSubgroups(x, tokens, isNeeded: targets.contains { $0.map.isFourBit })
    }

    /// Outputs from `first` on for all tokens, tile after tile.
    private func tile(
        _ target: ProductTarget, _ x: QuantizedRows, _ tokens: Int, _ first: Int, _ count: Int,
        _ worker: Int
    ) {
        let map = target.map, space = scratch.space(worker)
        switch map.rows {
        case .int8(let rows):
            for start in stride(from: first, to: first + count, by: kernels.tileRows) {
                let width = min(kernels.tileRows, first + count - start)
                var next: UnsafeRawPointer?
                if map.isNeuronMajor {
                    kernels.packColumns(rows, map.inputs, start, x.groups, space)
                } else {
                    kernels.packRows(rows, start, width, x.groups, space)
                    if rows.exceedsCache { next = UnsafeRawPointer(rows.weights + (start + width) * rows.stride) }
                }
                kernels.tileDots(space, rows, start, width, x, tokens, next, target.out + start, map.outputs)
            }
        case .fourBit(let rows):
            let height = kernels.fourBit.tileBlocks * FourBitRows.blockRows
            for start in stride(from: first, to: first + count, by: height) {
                let width = min(height, first + count - start)
                kernels.fourBit.packRows(rows, start, width, space)
                kernels.fourBit.tileDots(
                    space, rows, start, width, x, subgroupSums.pointer, tokens, target.out + start, map.outputs)
            }
        case .ternary(let rows):
            let unpacked = scratch.unpackedRows(worker)
            let whole = WeightRows(
                weights: unpacked.assumingMemoryBound(to: Int8.self),
                stride: TernaryRows.unpackedStride(rows.stride), scales: rows.scales, bias: rows.bias)
            for start in stride(from: first, to: first + count, by: kernels.tileRows) {
                let width = min(kernels.tileRows, first + count - start)
                kernels.ternary.unpackRows(rows, start, width, unpacked)
                kernels.packRows(whole, 0, width, x.groups, space)
                kernels.tileDots(space, whole, start, width, x, tokens, nil, target.out + start, map.outputs)
            }
        }
    }

    // MARK: Tasks

    /// Outputs of a tiled task: whole tiles of every kernel set.
    private var tileRows: Int { max(kernels.tileRows, 32) }

    private func rowsPerTask(_ count: Int, _ map: Linear) -> Int {
        pool.partition.rowsPerTask(count, rowBytes: map.rowBytes)
    }

    /// A target's part of a job: `count` outputs in tasks of `size`, the first one being the job's task `start`.
    private struct Part {
        let target: ProductTarget
        let count, size, start: Int
    }

    /// Runs `body(target, first, count, worker)` over all targets' outputs task by task, and `rest` for `more` tasks of the
    /// same job. The parts lie on the stack: workers would contend for an array's reference count.
    private func split(
        _ targets: [ProductTarget], into size: (Linear) -> (count: Int, perTask: Int), more: Int = 0,
        _ body: (ProductTarget, Int, Int, Int) -> Void, rest: (Int, Int) -> Void = { _, _ in }
    ) {
        withUnsafeTemporaryAllocation(of: Part.self, capacity: targets.count) { parts in
            var tasks = 0
            for (i, target) in targets.enumerated() {
                let (count, size) = size(target.map)
                parts.initializeElement(at: i, to: Part(target: target, count: count, size: size, start: tasks))
                tasks += (count + size - 1) / size
            }
            pool.run(tasks + more) { task, worker in
                if task >= tasks { return rest(task - tasks, worker) }
                var i = parts.count - 1
                while parts[i].start > task { i -= 1 }
                let part = parts[i]
                let first = (task - part.start) * part.size
                body(part.target, first, min(part.size, part.count - first), worker)
            }
        }
    }
}
