// SPDX-License-Identifier: Apache-2.0

import Builtin

/// Prefetches a cache line. Through Swift's `Builtin`, because Clang's `_mm_prefetch` is a macro and `_m_prefetch` only
/// declared: the compiler silently drops calls to it.
@inline(__always)
func prefetch(_ p: UnsafeRawPointer) {
    Builtin.int_prefetch_RawPointer(p._rawValue, Int32(0)._value, Int32(3)._value, Int32(1)._value)
}
