import SIMDKernels

/// Linear maps on a team of threads.
///
/// Few tokens: every output is a dot product of a row where it lies, and the weights stream by once.
/// Many tokens: tiles of the weights are rearranged in the worker's scratch, once for all tokens, so that
/// products need no sums across lanes. Both give the same bits, so the choice is one of speed alone.
final class Multiplier {
    let kernels: KernelTable
    let pool: WorkerPool
    /// A tile, or accumulators, for each worker.
    private let scratch: AlignedBuffer<UInt8>
    private let scratchSize: Int
    /// What each group of neurons adds, when groups are split among workers.
    private let contributions: AlignedBuffer<Float>
    /// Sums of half groups of the activations at hand, for 4-bit weights.
    private let halves: AlignedBuffer<Float>

    /// Below this many tokens rearranging costs more than it saves.
    static let tileThreshold = 4

    /// - Parameters:
    ///   - widest: the largest number of inputs of any map.
    ///   - tallest: the largest number of outputs of any neuron-major map.
    ///   - capacity: the largest number of tokens.
    init(
        kernels: KernelTable, pool: WorkerPool, widest: Int, tallest: Int, capacity: Int
    ) throws(RuntimeError) {
        self.kernels = kernels
        self.pool = pool
        let groups = (widest + groupSize - 1) / groupSize
        let tile = max(
            groups * groupSize * kernels.tileRows,
            FourBitRows.tileBytes(blocks: kernels.fourBit.tileBlocks, groups: groups))
        scratchSize = (max(tile, 8 * (tallest + 64)) + 4095) & ~4095
        halves = try AlignedBuffer(capacity * groups * 2)
        scratch = try AlignedBuffer(pool.threads * scratchSize)
        contributions = try AlignedBuffer((widest / groupSize + 1) * (tallest + 64))
    }

    /// A map and where its outputs go: `[tokens, map.outputs]`.
    struct Target {
        let map: Linear
        let out: UnsafeMutablePointer<Float>
    }

    /// `target.out[t] = target.map(x[t])`, whatever the map's rows are.
    func apply(_ x: Activations, tokens: Int, _ target: Target) {
        if target.map.isNeuronMajor {
            sumNeurons(x, tokens: tokens, active: nil, target)
        } else {
            multiply(x.rows(), tokens: tokens, target)
        }
    }

    /// `target.out[t] = target.map(x[t])` for every target, in one go; maps with a row for each output.
    func multiply(_ x: QuantizedRows, tokens: Int, _ targets: Target...) {
        sumHalves(x, tokens, targets)
        if tokens >= Self.tileThreshold {
            split(targets, into: { ($0.outputs, tileBlock) }) { target, first, count, space in
                tile(target, x, tokens, first, count, space)
            }
        } else {
            split(targets, into: { ($0.outputs, share($0.outputs, $0)) }) { target, first, count, _ in
                for t in 0..<tokens {
                    rowDots(target.map, nil, first, count, x, t, target.out + (t * target.map.outputs + first))
                }
            }
        }
    }

    /// `target.out[i] = row rows[i] of target.map, times x` for every target: one token, some rows.
    func gather(_ x: QuantizedRows, rows: UnsafePointer<Int32>, count: Int, _ targets: Target...) {
        sumHalves(x, 1, targets)
        split(targets, into: { (count, share(count, $0)) }) { target, first, count, _ in
            rowDots(target.map, rows + first, 0, count, x, 0, target.out + first)
        }
    }

    /// One token: all of `targets`, and some of the rows of another: `count` runs of `length`, run r of the map becoming
    /// run r of the output.
    func multiply(
        _ x: QuantizedRows, _ targets: Target..., runs: UnsafePointer<Int32>, count: Int, length: Int, of partial: Target
    ) {
        sumHalves(x, 1, partial.map.isFourBit ? [partial] : targets)
        let some = max(share(count * length, partial.map) / length, 1)
        let pieces = (count + some - 1) / some
        // The runs come last: they are the smallest pieces, and even out what the others leave.
        split(targets, into: { ($0.outputs, share($0.outputs, $0)) }, more: pieces) { target, first, count, _ in
            rowDots(target.map, nil, first, count, x, 0, target.out + first)
        } rest: { piece in
            for r in piece * some..<min((piece + 1) * some, count) {
                let first = Int(runs[r]) * length
                rowDots(partial.map, nil, first, length, x, 0, partial.out + first)
            }
        }
    }

    /// One token through a layer's neurons, in one job: a worker takes some of them, whole groups of quantization, from
    /// their rows of `ups` by way of `activate` to what they add, and waits for nobody.
    /// - Parameters:
    ///   - list: the neurons to compute, ascending, whose values then stand side by side; nil for all.
    ///   - count: how many those are.
    ///   - activate: makes activations, quantized in `hidden`, of the products from the first argument on, so many.
    ///   - down: neuron-major.
    func passThrough(
        _ x: QuantizedRows, _ ups: Target..., list: UnsafePointer<Int32>?, count: Int, hidden: QuantizedRows,
        activate: (_ first: Int, _ count: Int) -> Void, into down: Target
    ) {
        sumHalves(x, 1, ups)
        let map = down.map, bytes = ups.reduce(map.rowBytes) { $0 + $1.map.rowBytes }
        let block = share(count, rowBytes: bytes)
        func hide(_ first: Int, _ count: Int) {
            for up in ups {
                rowDots(up.map, list.map { $0 + first }, list == nil ? first : 0, count, x, 0, up.out + first)
            }
            activate(first, count)
        }
        guard count > block else {
            hide(0, count)
            kernels.neuronSums(map.int8, list, count, map.outputs, hidden.groups(from: 0, count: count), space(0), down.out)
            return
        }
        sumPieces(hidden, list, count, block, down, before: hide)
    }

    /// One token's sum over `count` neurons in pieces of `block`, whole groups; a worker first does what comes `before` its
    /// piece.
    private func sumPieces(
        _ x: QuantizedRows, _ list: UnsafePointer<Int32>?, _ count: Int, _ block: Int, _ target: Target,
        before: (_ first: Int, _ count: Int) -> Void = { _, _ in }
    ) {
        let outputs = target.map.outputs, width = (outputs + 63) & ~63
        let whole = target.map.int8
        pool.run((count + block - 1) / block) { piece, worker in
            let first = piece * block, some = min(block, count - first)
            before(first, some)
            var rows = whole
            if list == nil { rows.weights += first * rows.stride }
            kernels.neuronGroups(
                rows, list.map { $0 + first }, some, outputs, x.groups(from: first / groupSize, count: some),
                space(worker), contributions.pointer + first / groupSize * width)
        }
        kernels.groupSums(whole, contributions.pointer, (count + groupSize - 1) / groupSize, outputs, target.out)
    }

    /// `target.out[t]` = the sum of the neurons' rows of a neuron-major map, times `x[t]`.
    /// - Parameter active: which neurons, whose values then stand side by side in `x`; nil for all.
    func sumNeurons(_ x: Activations, tokens: Int, active: ActiveSets?, _ target: Target) {
        let map = target.map
        if active == nil, tokens >= Self.tileThreshold {
            split([target], into: { ($0.outputs, tileBlock) }) { target, first, count, space in
                tile(target, x.rows(), tokens, first, count, space)
            }
        } else if tokens > 1 {
            pool.run(tokens) { t, worker in
                let count = active?.count(t) ?? map.inputs
                kernels.neuronSums(
                    map.int8, active?.list(t), count, map.outputs, x.row(t, count: count), space(worker),
                    target.out + t * map.outputs)
            }
        } else {
            sumNeurons(x, active?.list(0), active?.count(0) ?? map.inputs, target)
        }
    }

    /// `target.out = target.map(x)` for a neuron-major map and one token whose inputs are zero but for `count` runs of
    /// `length`, run r being the inputs from `r * length` on. Only their rows are read; the bits are those of all.
    func sumRuns(
        _ x: QuantizedRows, runs: UnsafePointer<Int32>, count: Int, length: Int, _ target: Target
    ) {
        let map = target.map
        let most = x.groups
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: most * groupSize + 2 * most) { lists in
            withUnsafeTemporaryAllocation(byteCount: most * (groupSize + 4), alignment: 64) { packed in
                // A group that has an input of a run keeps its scale and its place in the order of the sum; its
                // inputs move to its front.
                let list = lists.baseAddress!, sizes = list + most * groupSize, sums = sizes + most
                let values = packed.baseAddress!.assumingMemoryBound(to: Int8.self)
                let scales = (packed.baseAddress! + most * groupSize).assumingMemoryBound(to: Float.self)
                var slots = 0, last = -1
                for r in 0..<count {
                    for input in Int(runs[r]) * length..<(Int(runs[r]) + 1) * length {
                        let group = input / groupSize
                        if group != last {
                            scales[slots] = x.scales[group]
                            sums[slots] = x.sums[group]
                            sizes[slots] = 0
                            (values + slots * groupSize).update(repeating: 0, count: groupSize)
                            slots += 1
                            last = group
                        }
                        let place = (slots - 1) * groupSize + Int(sizes[slots - 1])
                        list[place] = Int32(input)
                        values[place] = x.values[input]
                        sizes[slots - 1] += 1
                    }
                }
                let rows = QuantizedRows(values: values, scales: scales, sums: sums, groups: slots)
                let width = (map.outputs + 63) & ~63
                let block = max(share(slots * groupSize, map) / groupSize, 1)
                pool.run((slots + block - 1) / block) { piece, worker in
                    for slot in piece * block..<min((piece + 1) * block, slots) {
                        kernels.neuronGroups(
                            map.int8, list + slot * groupSize, Int(sizes[slot]), map.outputs,
                            rows.groups(from: slot, count: Int(sizes[slot])), space(worker), contributions.pointer + slot * width)
                    }
                }
                kernels.groupSums(map.int8, contributions.pointer, slots, map.outputs, target.out)
            }
        }
    }

    /// One token: groups of neurons are split, so that each worker reads whole rows.
    private func sumNeurons(
        _ x: Activations, _ list: UnsafePointer<Int32>?, _ count: Int, _ target: Target
    ) {
        let map = target.map
        let all = x.row(0, count: count)
        let block = share(count, map) / groupSize * groupSize
        guard block > 0, count > block else { return sumFew(map, list, count, all, target.out) }
        sumPieces(all, list, count, block, target)
    }

    /// Few neurons: outputs are split, if there is enough to do.
    private func sumFew(
        _ map: Linear, _ list: UnsafePointer<Int32>?, _ count: Int, _ x: QuantizedRows, _ out: UnsafeMutablePointer<Float>
    ) {
        let least = (1 << 15) / max(count, 1)
        let block = (max((map.outputs + pool.threads - 1) / pool.threads, least) + 63) & ~63
        pool.run((map.outputs + block - 1) / block) { piece, worker in
            let first = piece * block
            var rows = map.int8
            rows.weights += first
            rows.scales += first
            rows.bias = rows.bias.map { $0 + first }
            kernels.neuronSums(rows, list, count, min(block, map.outputs - first), x, space(worker), out + first)
        }
    }

    // MARK: Pieces of work

    /// Outputs of a tiled piece: whole tiles of every kernel set.
    private var tileBlock: Int { max(kernels.tileRows, 32) }

    /// How many of `count` rows of a map a worker takes at a time. One stream of memory for each worker is
    /// best, so a piece is its whole share; but no less than is worth a wake-up, and no more than it can
    /// fall behind with.
    private func share(_ count: Int, _ map: Linear) -> Int { share(count, rowBytes: map.rowBytes) }

    private func share(_ count: Int, rowBytes: Int) -> Int {
        if pool.threads == 1 { return max(count, 1) }
        let least = (1 << 16) / rowBytes, most = (1 << 20) / rowBytes
        let share = min(max((count + pool.threads - 1) / pool.threads, least), max(most, 1))
        return (share + 63) & ~63
    }

    private func space(_ worker: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(scratch.pointer + worker * scratchSize)
    }

    /// A target's part of a job: `count` outputs in pieces of `block`, the first piece being the job's `start`.
    private struct Part {
        let target: Target
        let count, block, start: Int
    }

    /// Runs `body(target, first, count, scratch)` over all targets' outputs in pieces, and `rest` for `more` pieces in the
    /// same job. The parts lie on the stack: arrays would be counted by every worker.
    private func split(
        _ targets: [Target], into size: (Linear) -> (count: Int, block: Int), more: Int = 0,
        _ body: (Target, Int, Int, UnsafeMutableRawPointer) -> Void, rest: (Int) -> Void = { _ in }
    ) {
        withUnsafeTemporaryAllocation(of: Part.self, capacity: targets.count) { parts in
            var pieces = 0
            for (i, target) in targets.enumerated() {
                let (count, block) = size(target.map)
                parts.initializeElement(at: i, to: Part(target: target, count: count, block: block, start: pieces))
                pieces += (count + block - 1) / block
            }
            pool.run(pieces + more) { piece, worker in
                if piece >= pieces { return rest(piece - pieces) }
                var i = parts.count - 1
                while parts[i].start > piece { i -= 1 }
                let part = parts[i]
                let first = (piece - part.start) * part.block
                body(part.target, first, min(part.block, part.count - first), space(worker))
            }
        }
    }

    private func tile(
        _ target: Target, _ x: QuantizedRows, _ tokens: Int, _ first: Int, _ count: Int,
        _ space: UnsafeMutableRawPointer
    ) {
        let map = target.map
        switch map.rows {
        case .int8(let rows):
            for start in stride(from: first, to: first + count, by: kernels.tileRows) {
                let width = min(kernels.tileRows, first + count - start)
                if map.isNeuronMajor {
                    kernels.packColumns(rows, map.inputs, start, x.groups, space)
                } else {
                    kernels.packRows(rows, start, width, x.groups, space)
                }
                kernels.tileDots(space, rows, start, width, x, tokens, target.out + start, map.outputs)
            }
        case .fourBit(let rows):
            let height = kernels.fourBit.tileBlocks * FourBitRows.blockRows
            for start in stride(from: first, to: first + count, by: height) {
                let width = min(height, first + count - start)
                kernels.fourBit.packRows(rows, start, width, space)
                kernels.fourBit.tileDots(
                    space, rows, start, width, x, halves.pointer, tokens, target.out + start, map.outputs)
            }
        }
    }

    /// Rows of a map times token `t` of `x`.
    private func rowDots(
        _ map: Linear, _ rows: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ t: Int,
        _ out: UnsafeMutablePointer<Float>
    ) {
        switch map.rows {
        case .int8(let weights): kernels.rowDots(weights, rows, first, count, x.row(t), out)
        case .fourBit(let weights):
            kernels.fourBit.rowDots(
                weights, rows, first, count, x.row(t), halves.pointer + 2 * t * x.groups, out)
        }
    }

    /// Makes the half sums of the activations if a target wants them.
    private func sumHalves(_ x: QuantizedRows, _ tokens: Int, _ targets: [Target]) {
        if targets.contains(where: { $0.map.isFourBit }) { kernels.fourBit.halfSums(x, tokens, halves.pointer) }
    }
}

extension QuantizedRows {
    /// One token's row.
    func row(_ t: Int) -> QuantizedRows {
        QuantizedRows(
            values: values + t * groups * groupSize, scales: scales + t * groups, sums: sums + t * groups,
            groups: groups)
    }

    /// One token's groups from `first` on, for `count` values.
    func groups(from first: Int, count: Int) -> QuantizedRows {
        QuantizedRows(
            values: values + first * groupSize, scales: scales + first, sums: sums + first,
            groups: (count + groupSize - 1) / groupSize)
    }
}
