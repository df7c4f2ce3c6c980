// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target, like Elementwise.swift: which of many scores are high enough.
// Each set defines `storeIndices`.

import KernelTable

func indicesAtLeast(
    _ x: UnsafePointer<Float>, _ count: Int, _ least: Float, _ out: UnsafeMutablePointer<Int32>
) -> Int {
    var found = 0, i = 0
    while i &+ 16 <= count {
        found &+= storeIndices(Int32(truncatingIfNeeded: i), load(x + i), least, out + found)
        i &+= 16
    }
    while i < count {
        out[found] = Int32(truncatingIfNeeded: i)
        found &+= x[i] >= least ? 1 : 0
        i &+= 1
    }
    return found
}
