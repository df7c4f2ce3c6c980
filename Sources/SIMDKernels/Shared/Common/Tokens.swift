// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target.

import KernelTable

extension QuantizedRows {
    /// One token's row. (`row` and the initializer are of another module and not inlined: a call between tiles empties the
    /// registers.)
    @inline(__always)
    func token(_ t: Int) -> QuantizedRows {
        var row = self
        row.values += t &* groups &* groupSize
        row.scales += t &* groups
        row.sums += t &* groups
        return row
    }
}

/// Sixteen vectors on the stack, zero, for the sums of some tokens. (A temporary allocation that is aligned so much would be
/// on the heap.)
@inline(__always)
func withSixteenVectors(_ body: (UnsafeMutablePointer<F16>) -> Void) {
    let zero = F16.zero
    var vectors = (
        zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero
    )
    withUnsafeMutableBytes(of: &vectors) { body($0.baseAddress!.assumingMemoryBound(to: F16.self)) }
}
