// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels

/// How work on the rows of a matrix is cut into tasks.
struct WorkPartition {
    let threads: Int

    /// How many of `count` rows a worker takes at a time: no less than amortizes waking it (64 KiB), and no more than it can
    /// fall behind with (128 KiB). A worker's tasks follow each other in memory, so that it reads one stream.
    func rowsPerTask(_ count: Int, rowBytes: Int) -> Int {
        if threads == 1 { return max(count, 1) }
        let least = (1 << 16) / rowBytes, most = (1 << 17) / rowBytes
        let share = min(max((count + threads - 1) / threads, least), max(most, 1))
        return (share + 63) & ~63
    }
}

extension WorkerPool {
    var partition: WorkPartition { WorkPartition(threads: threads) }
}

/// Memory that workers compute in, shared by all products: one runs at a time.
final class WorkerScratch {
    /// For each worker a tile of weights, or the accumulators of a sum over neurons.
    private let bytes: AlignedBuffer<UInt8>
    private let size: Int
    /// Where a worker's ternary rows are unpacked.
    private let unpacked: Int
    /// `[groups, padded outputs]`: what each quantization group of neurons adds, when groups are split among workers.
    let groupSums: AlignedBuffer<Float>

    /// - Parameters:
    ///   - widest: the largest number of inputs of any map.
    ///   - tallest: the largest number of outputs of any neuron-major map.
    ///   - hasTernary: whether any map has ternary weights.
    init(
        _ kernels: KernelTable, threads: Int, widest: Int, tallest: Int, hasTernary: Bool, in memory: SessionMemory
    ) throws(RuntimeError) {
        let groups = (widest + groupSize - 1) / groupSize
        let tile = max(
            groups * groupSize * kernels.tileRows,
            FourBitRows.tileBytes(blocks: kernels.fourBit.tileBlocks, groups: groups))
        unpacked = (max(tile, NeuronSums.tokensAtOnce * 8 * (tallest + 64)) + 4095) & ~4095
        let stride = TernaryMatrix.stride(forColumns: widest)
        let rows = max(
            TernaryRows.scratchBytes(stride: stride), kernels.tileRows * TernaryRows.unpackedStride(stride))
        size = unpacked + (hasTernary ? (rows + 4095) & ~4095 : 0)
        bytes = try AlignedBuffer(threads * size, in: memory)
        groupSums = try AlignedBuffer((widest / groupSize + 1) * (tallest + 64), in: memory)
    }

    /// A worker's part, on a page boundary.
    func space(_ worker: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(bytes.pointer + worker * size) }

    /// A worker's room for rows of ternary weights as int8: for `TernaryDots`, or for a tile. None if no map has such weights.
    func unpackedRows(_ worker: Int) -> UnsafeMutableRawPointer { space(worker) + unpacked }
}

/// A map and where its outputs go: `[tokens, map.outputs]`.
struct ProductTarget {
    let map: Linear
    let out: UnsafeMutablePointer<Float>
}
