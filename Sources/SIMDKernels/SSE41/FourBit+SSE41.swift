// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_SSE41
// 4-bit weights: the per-ISA primitives of ../Shared/Tile16/FourBitBlocks.swift.

import KernelTable
import _Builtin_intrinsics.intel

/// Sixteen rows of four inputs each.
typealias Quads = (Bytes16, Bytes16, Bytes16, Bytes16)

@inline(__always)
func loadQuads(_ p: UnsafeRawPointer) -> Quads { (load16(p), load16(p + 16), load16(p + 32), load16(p + 48)) }

@inline(__always)
func storeQuads(_ v: Quads, _ p: UnsafeMutableRawPointer) {
    p.storeBytes(of: v.0, as: Bytes16.self)
    (p + 16).storeBytes(of: v.1, as: Bytes16.self)
    (p + 32).storeBytes(of: v.2, as: Bytes16.self)
    (p + 48).storeBytes(of: v.3, as: Bytes16.self)
}

/// The low nibbles, a byte each.
@inline(__always)
private func low(_ v: Bytes16) -> Bytes16 { _mm_and_si128(v, _mm_set1_epi8(15)) }

@inline(__always)
func lowNibbles(_ v: Quads) -> Quads { (low(v.0), low(v.1), low(v.2), low(v.3)) }

@inline(__always)
func highNibbles(_ v: Quads) -> Quads {
    @inline(__always) func high(_ v: Bytes16) -> Bytes16 { low(_mm_srli_epi16(v, 4)) }
    return (high(v.0), high(v.1), high(v.2), high(v.3))
}

/// The products of a half group with sixteen rows. Pairs of them stay in 16 bits to the end: eight times
/// 2 * 15 * 127 is below 2^15.
typealias QuadProducts = (Bytes16, Bytes16, Bytes16, Bytes16)

@inline(__always)
func noProducts() -> QuadProducts {
    let zero = _mm_setzero_si128()
    return (zero, zero, zero, zero)
}

@inline(__always)
func addProducts(_ p: QuadProducts, _ w: Quads, _ q: Bytes16) -> QuadProducts {
    @inline(__always) func add(_ sums: Bytes16, _ w: Bytes16) -> Bytes16 {
        _mm_add_epi16(sums, _mm_maddubs_epi16(w, q))
    }
    return (add(p.0, w.0), add(p.1, w.1), add(p.2, w.2), add(p.3, w.3))
}

@inline(__always)
func scaled(_ p: QuadProducts, _ scale: F16, _ offset: F16, _ sum: Float) -> F16 {
    @inline(__always) func total(_ v: Bytes16) -> __m128i { _mm_madd_epi16(v, _mm_set1_epi16(1)) }
    return floats(total(p.0), total(p.1), total(p.2), total(p.3)) * scale + offset * sum
}
#endif
