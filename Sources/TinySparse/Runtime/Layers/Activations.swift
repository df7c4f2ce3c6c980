// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels

/// Quantized activations of up to `capacity` tokens: the input of a `Linear`.
package final class Activations {
    let groups: Int
    private let values: AlignedBuffer<Int8>
    private let scales: AlignedBuffer<Float>
    private let sums: AlignedBuffer<Int32>

    package init(width: Int, capacity: Int, in memory: SessionMemory? = nil) throws(RuntimeError) {
        groups = (width + groupSize - 1) / groupSize
        values = try AlignedBuffer(capacity * groups * groupSize, in: memory)
        scales = try AlignedBuffer(capacity * groups, in: memory)
        sums = try AlignedBuffer(capacity * groups, in: memory)
    }

    /// Quantizes the `count` values at `x` as those of row `token` from the `first` on, a multiple of the group size:
    /// what other groups are does not matter.
    func set(_ token: Int, from first: Int = 0, _ x: UnsafePointer<Float>, _ count: Int, _ kernels: KernelTable) {
        let group = token * groups + first / groupSize
        kernels.quantize(x, count, values.pointer + group * groupSize, scales.pointer + group, sums.pointer + group)
    }

    /// All rows.
    func rows() -> QuantizedRows {
        QuantizedRows(values: values.pointer, scales: scales.pointer, sums: sums.pointer, groups: groups)
    }

    /// One row, or its first `count` values.
    package func row(_ token: Int, count: Int? = nil) -> QuantizedRows {
        var row = rows().row(token)
        if let count { row.groups = (count + groupSize - 1) / groupSize }
        return row
    }
}
