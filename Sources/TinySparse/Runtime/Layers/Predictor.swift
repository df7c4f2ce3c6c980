// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels

/// A small network that names what a layer will need: see docs/NUMERICS.md, 10.
package struct Predictor: Sendable {
    /// d_model to rank.
    let reduce: Linear
    /// Rank to heads or groups of neurons, with a bias.
    let expand: Linear
    /// A score at least this high makes a head or group active.
    let threshold: Float
    /// Neighboring neurons that share a score.
    let group: Int
    /// Whether there is a ReLU between the two.
    let hasRelu: Bool

    package init(reduce: Linear, expand: Linear, threshold: Float, group: Int = 1, hasRelu: Bool = false) {
        self.reduce = reduce
        self.expand = expand
        self.threshold = threshold
        self.group = group
        self.hasRelu = hasRelu
    }

    var rank: Int { reduce.outputs }
    package var bytes: Int { reduce.bytes + expand.bytes }

    /// Bytes of memory that `scores` needs to work with.
    package var scratchSize: Int { Scratch(rank).sums + 8 * (expand.outputs + groupSize) }

    /// `out[outputs]` for one token, on this thread.
    /// - Parameter scratch: `scratchSize` bytes, aligned to 64.
    /// - Complexity: O(rank * (d_model + outputs)).
    package func scores(
        _ x: QuantizedRows, _ kernels: KernelTable, _ scratch: UnsafeMutableRawPointer,
        into out: UnsafeMutablePointer<Float>
    ) {
        let at = Scratch(rank)
        let inner = scratch.assumingMemoryBound(to: Float.self)
        let values = (scratch + at.values).assumingMemoryBound(to: Int8.self)
        let scales = (scratch + at.scales).assumingMemoryBound(to: Float.self)
        let groupSums = (scratch + at.groupSums).assumingMemoryBound(to: Int32.self)
        kernels.rowDots(reduce.int8, nil, 0, rank, x, 1, inner, 0)
        if hasRelu { kernels.relu(inner, rank) }
        // Zeros up to the end of the group change nothing, and quantizing whole groups is faster.
        (inner + rank).update(repeating: 0, count: at.groups * groupSize - rank)
        kernels.quantize(inner, at.groups * groupSize, values, scales, groupSums)
        let reduced = QuantizedRows(values: values, scales: scales, sums: groupSums, groups: at.groups)
        if expand.isNeuronMajor {
            kernels.neuronSums(expand.int8, nil, rank, expand.outputs, reduced, 1, scratch + at.sums, out, 0)
        } else {
            kernels.rowDots(expand.int8, nil, 0, expand.outputs, reduced, 1, out, 0)
        }
    }

    /// Where in the scratch what lies.
    private struct Scratch {
        let groups, values, scales, groupSums, sums: Int

        init(_ rank: Int) {
            groups = (rank + groupSize - 1) / groupSize
            // Numbers of the inner layer, quantized, with a scale and a sum a group; then what the sums need.
            values = groups * groupSize * 4
            scales = values + groups * groupSize
            groupSums = scales + groups * 4
            sums = (groupSums + groups * 4 + 63) & ~63
        }
    }
}
