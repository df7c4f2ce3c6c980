// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

// The product of a neuron-major output projection with the heads that are active.

extension NeuronSums {
    /// `target.out = target.map(x)` for a neuron-major map and one token whose inputs are zero but for `count` heads of
    /// `width`, head h being the inputs from `h * width` on. Only their rows are read; the bits are those of all.
    func multiply(_ x: QuantizedRows, heads: UnsafePointer<Int32>, count: Int, width: Int, _ target: ProductTarget) {
        let capacity = x.groups
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: capacity * (groupSize + 2)) { integers in
            withUnsafeTemporaryAllocation(byteCount: capacity * (groupSize + 4), alignment: 64) { bytes in
                var packed = PackedGroups(integers.baseAddress!, bytes.baseAddress!, capacity: capacity)
                for h in 0..<count { packed.append(Int(heads[h]) * width..<(Int(heads[h]) + 1) * width, of: x) }
                sum(packed, target)
            }
        }
    }

    private func sum(_ packed: PackedGroups, _ target: ProductTarget) {
        let map = target.map, kernels = kernels, scratch = scratch
        let some = max(pool.partition.rowsPerTask(packed.count * groupSize, rowBytes: map.rowBytes) / groupSize, 1)
        pool.run((packed.count + some - 1) / some) { task, worker in
            for group in task * some..<min((task + 1) * some, packed.count) {
                let size = Int(packed.sizes[group])
                kernels.neuronGroups(
                    map.int8, packed.inputs + group * groupSize, size, map.outputs,
                    packed.rows.groups(from: group, count: size), scratch.space(worker),
                    scratch.groupSums.pointer + group * map.paddedOutputs)
            }
        }
        kernels.groupSums(map.int8, scratch.groupSums.pointer, packed.count, map.outputs, target.out)
    }
}

/// The quantization groups that have an input of an active head: each keeps its scale and its place in the order of
/// the sum, and its inputs of active heads move to its front.
private struct PackedGroups {
    private(set) var count = 0
    /// `[groups, groupSize]`: which inputs, and how many of each group.
    let inputs, sizes: UnsafeMutablePointer<Int32>
    private let values: UnsafeMutablePointer<Int8>
    private let scales: UnsafeMutablePointer<Float>
    private let sums: UnsafeMutablePointer<Int32>
    /// The group of the input before.
    private var last = -1

    var rows: QuantizedRows { QuantizedRows(values: values, scales: scales, sums: sums, groups: count) }

    init(_ integers: UnsafeMutablePointer<Int32>, _ bytes: UnsafeMutableRawPointer, capacity: Int) {
        inputs = integers
        sizes = integers + capacity * groupSize
        sums = sizes + capacity
        values = bytes.assumingMemoryBound(to: Int8.self)
        scales = (bytes + capacity * groupSize).assumingMemoryBound(to: Float.self)
    }

    /// Adds a run of inputs, all of them above those before.
    mutating func append(_ run: Range<Int>, of x: QuantizedRows) {
        for input in run {
            let group = input / groupSize
            if group != last {
                scales[count] = x.scales[group]
                sums[count] = x.sums[group]
                sizes[count] = 0
                (values + count * groupSize).update(repeating: 0, count: groupSize)
                count += 1
                last = group
            }
            let place = (count - 1) * groupSize + Int(sizes[count - 1])
            inputs[place] = Int32(input)
            values[place] = x.values[input]
            sizes[count - 1] += 1
        }
    }
}
