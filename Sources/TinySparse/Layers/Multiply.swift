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
    static let tileThreshold = 4

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
        let isTiled = tokens >= Self.tileThreshold
        split(targets, sizes: targets.map { ($0.map.outputs, isTiled ? tileBlock : streamBlock($0.map)) }) {
            target, first, count, space in
            if isTiled {
                tile(target, x, tokens, first, count, space)
            } else {
                for t in 0..<tokens { stream(target, x.row(t), t, first, count, space) }
            }
        }
    }

    /// `target.out[i] = row rows[i] of target.map, times x` for every target: one token, some rows.
    func gather(_ x: QuantizedRows, rows: UnsafePointer<Int32>, count: Int, _ targets: Target...) {
        let block = share(count, block: 16)
        split(targets, sizes: targets.map { _ in (count, block) }) { target, first, count, _ in
            kernels.rowDots(target.map.rows, rows + first, 0, count, x, target.out + first)
        }
    }

    /// `out[t]` = the sum of the active neurons' rows of `map`, times `x[t]`, whose values stand side by side.
    func sumNeurons(
        _ map: Linear, tokens: Int, active: ActiveSets, _ x: Activations, into out: UnsafeMutablePointer<Float>
    ) {
        let block = tokens == 1 ? streamBlock(map) : map.outputs
        let pieces = (map.outputs + block - 1) / block
        pool.run(tokens * pieces) { piece, worker in
            let t = piece / pieces, first = piece % pieces * block
            kernels.neuronSums(
                map.rows, active.list(t), active.count(t), first, min(block, map.outputs - first),
                x.row(t, count: active.count(t)), space(worker), out + (t * map.outputs + first))
        }
    }

    // MARK: Pieces of work

    /// Outputs of a tiled piece: whole tiles of every kernel set.
    private var tileBlock: Int { max(kernels.tileRows, 32) }

    /// Outputs of a streamed piece.
    private func streamBlock(_ map: Linear) -> Int { share(map.outputs, block: map.isNeuronMajor ? 64 : 16) }

    /// A few pieces for each worker, in whole blocks of the kernels.
    private func share(_ count: Int, block: Int) -> Int {
        let share = pool.threads == 1 ? count : count / (pool.threads * 4)
        return max((share + block - 1) / block * block, block)
    }

    private func space(_ worker: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(scratch.pointer + worker * scratchSize)
    }

    /// Runs `body(target, first, count, scratch)` over all targets' outputs in pieces.
    private func split(
        _ targets: [Target], sizes: [(count: Int, block: Int)],
        _ body: (Target, Int, Int, UnsafeMutableRawPointer) -> Void
    ) {
        let counts = sizes.map { ($0.count + $0.block - 1) / $0.block }
        pool.run(counts.reduce(0, +)) { piece, worker in
            var target = 0, index = piece
            while index >= counts[target] {
                index -= counts[target]
                target += 1
            }
            let first = index * sizes[target].block
            body(targets[target], first, min(sizes[target].block, sizes[target].count - first), space(worker))
        }
    }

    private func stream(
        _ target: Target, _ x: QuantizedRows, _ t: Int, _ first: Int, _ count: Int,
        _ space: UnsafeMutableRawPointer
    ) {
        let map = target.map
        let out = target.out + (t * map.outputs + first)
        if map.isNeuronMajor {
            kernels.neuronSums(map.rows, nil, map.inputs, first, count, x, space, out)
        } else {
            kernels.rowDots(map.rows, nil, first, count, x, out)
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
