import SIMDKernels

/// Linear maps on a team of threads.
///
/// Few tokens: every output is a dot product of a row where it lies, and the weights stream by once.
/// Many tokens: tiles of the weights are rearranged in the worker's scratch, once for all tokens, so that
/// products need no sums across lanes. Both give the same bits, so the choice is one of speed alone.
struct Multiplier {
    let kernels: KernelTable
    let pool: WorkerPool
    /// A tile, or accumulators, for each worker.
    private let scratch: AlignedBuffer<UInt8>
    private let scratchSize: Int

    /// Below this many tokens rearranging costs more than it saves.
    private static let tileThreshold = 4

    /// - Parameters:
    ///   - widest: the largest number of inputs of any map.
    ///   - tallest: the largest number of outputs of any neuron-major map.
    init(kernels: KernelTable, pool: WorkerPool, widest: Int, tallest: Int) throws(RuntimeError) {
        self.kernels = kernels
        self.pool = pool
        let tile = (widest + groupSize) * kernels.tileRows
        scratchSize = (max(tile, 8 * (tallest + 64)) + 4095) & ~4095
        scratch = try AlignedBuffer(pool.threads * scratchSize)
    }

    /// A map and where its outputs go: `[tokens, map.outputs]`.
    struct Target {
        let map: Linear
        let out: UnsafeMutablePointer<Float>
    }

    /// `target.out[t] = target.map(x[t])` for every target, in one go.
    func multiply(_ x: QuantizedRows, tokens: Int, _ targets: Target...) {
        multiply(x, tokens: tokens, targets)
    }

    private func multiply(_ x: QuantizedRows, tokens: Int, _ targets: [Target]) {
        let tiled = tokens >= Self.tileThreshold
        let pieces = targets.map { pieceSize($0.map, tiled: tiled) }
        let counts = zip(targets, pieces).map { ($0.map.outputs + $1 - 1) / $1 }
        pool.run(counts.reduce(0, +)) { piece, worker in
            var target = 0, index = piece
            while index >= counts[target] {
                index -= counts[target]
                target += 1
            }
            let first = index * pieces[target]
            let count = min(pieces[target], targets[target].map.outputs - first)
            let space = UnsafeMutableRawPointer(scratch.pointer + worker * scratchSize)
            if tiled {
                tile(targets[target], x, tokens, first, count, space)
            } else {
                stream(targets[target], x, tokens, first, count, space)
            }
        }
    }

    /// Outputs that one worker takes at a time: a few pieces for each, in whole blocks of the kernels.
    private func pieceSize(_ map: Linear, tiled: Bool) -> Int {
        let block = tiled ? max(kernels.tileRows, 32) : map.isNeuronMajor ? 64 : 16
        if tiled { return block }
        let share = pool.threads == 1 ? map.outputs : map.outputs / (pool.threads * 4)
        return max((share + block - 1) / block * block, block)
    }

    private func stream(
        _ target: Target, _ x: QuantizedRows, _ tokens: Int, _ first: Int, _ count: Int,
        _ space: UnsafeMutableRawPointer
    ) {
        let map = target.map
        for t in 0..<tokens {
            let row = x.row(t)
            let out = target.out + (t * map.outputs + first)
            if map.isNeuronMajor {
                kernels.neuronSums(map.rows, nil, map.inputs, first, count, row, space, out)
            } else {
                kernels.rowDots(map.rows, nil, first, count, row, out)
            }
        }
    }

    private func tile(
        _ target: Target, _ x: QuantizedRows, _ tokens: Int, _ first: Int, _ count: Int,
        _ space: UnsafeMutableRawPointer
    ) {
        let map = target.map
        for start in stride(from: first, to: first + count, by: kernels.tileRows) {
            let width = min(kernels.tileRows, first + count - start)
            if map.isNeuronMajor {
                kernels.packColumns(map.rows, map.inputs, start, x.groups, space)
            } else {
                kernels.packRows(map.rows, start, width, x.groups, space)
            }
            kernels.tileDots(space, map.rows, start, width, x, tokens, target.out + start, map.outputs)
        }
    }
}

extension QuantizedRows {
    /// One token's row.
    func row(_ t: Int) -> QuantizedRows {
        QuantizedRows(
            values: values + t * groups * groupSize, scales: scales + t * groups, sums: sums + t * groups,
            groups: groups)
    }
}
