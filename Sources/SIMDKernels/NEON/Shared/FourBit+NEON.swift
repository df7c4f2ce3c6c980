// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// 4-bit weights: the per-ISA primitives of ../../Shared/Tile16/FourBitBlocks.swift.

import KernelTable
import _Builtin_intrinsics.arm.neon

/// Sixteen rows of four inputs each.
typealias Quads = (int8x16_t, int8x16_t, int8x16_t, int8x16_t)

@inline(__always)
func loadQuads(_ p: UnsafeRawPointer) -> Quads { (load16(p), load16(p + 16), load16(p + 32), load16(p + 48)) }

@inline(__always)
func storeQuads(_ v: Quads, _ p: UnsafeMutableRawPointer) {
    p.storeBytes(of: v.0, as: int8x16_t.self)
    (p + 16).storeBytes(of: v.1, as: int8x16_t.self)
    (p + 32).storeBytes(of: v.2, as: int8x16_t.self)
    (p + 48).storeBytes(of: v.3, as: int8x16_t.self)
}

@inline(__always)
func spreadFour(_ p: UnsafeRawPointer) -> int8x16_t {
    unsafeBitCast(int32x4_t(repeating: p.loadUnaligned(as: Int32.self)), to: int8x16_t.self)
}

@inline(__always)
func lowNibbles(_ v: Quads) -> Quads { (v.0 & 15, v.1 & 15, v.2 & 15, v.3 & 15) }

@inline(__always)
func highNibbles(_ v: Quads) -> Quads {
    @inline(__always) func high(_ v: int8x16_t) -> int8x16_t {
        unsafeBitCast(unsafeBitCast(v, to: uint8x16_t.self) &>> 4, to: int8x16_t.self)
    }
    return (high(v.0), high(v.1), high(v.2), high(v.3))
}

/// The products of a half group with sixteen rows.
typealias QuadProducts = (QuadSums, QuadSums, QuadSums, QuadSums)

@inline(__always)
func noProducts() -> QuadProducts { (QuadSums(), QuadSums(), QuadSums(), QuadSums()) }

@inline(__always)
func addProducts(_ p: QuadProducts, _ w: Quads, _ q: int8x16_t) -> QuadProducts {
    var p = p
    p.0.add(w.0, q)
    p.1.add(w.1, q)
    p.2.add(w.2, q)
    p.3.add(w.3, q)
    return p
}

@inline(__always)
func scaled(_ p: QuadProducts, _ scale: F16, _ offset: F16, _ sum: Float) -> F16 {
    floats(p.0.total, p.1.total, p.2.total, p.3.total) * scale + offset * sum
}
#endif
