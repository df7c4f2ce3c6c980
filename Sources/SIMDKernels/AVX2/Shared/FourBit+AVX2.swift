// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
// 4-bit weights: the per-ISA primitives of ../../Shared/Tile16/FourBitBlocks.swift.

import KernelTable
import _Builtin_intrinsics.intel

/// Sixteen rows of four inputs each.
typealias Quads = (Bytes32, Bytes32)

@inline(__always)
func loadQuads(_ p: UnsafeRawPointer) -> Quads { (load32(p), load32(p + 32)) }

@inline(__always)
func storeQuads(_ v: Quads, _ p: UnsafeMutableRawPointer) {
    p.storeBytes(of: v.0, as: Bytes32.self)
    (p + 32).storeBytes(of: v.1, as: Bytes32.self)
}

@inline(__always)
func spreadFour(_ p: UnsafeRawPointer) -> __m256i { _mm256_set1_epi32(p.loadUnaligned(as: Int32.self)) }

/// The low nibbles, a byte each.
@inline(__always)
private func low(_ v: Bytes32) -> Bytes32 { _mm256_and_si256(v, _mm256_set1_epi8(15)) }

@inline(__always)
func lowNibbles(_ v: Quads) -> Quads { (low(v.0), low(v.1)) }

@inline(__always)
func highNibbles(_ v: Quads) -> Quads { (low(_mm256_srli_epi16(v.0, 4)), low(_mm256_srli_epi16(v.1, 4))) }

/// The products of a half group with sixteen rows.
typealias QuadProducts = (Bytes32, Bytes32)

@inline(__always)
func noProducts() -> QuadProducts { (_mm256_setzero_si256(), _mm256_setzero_si256()) }

@inline(__always)
func addProducts(_ p: QuadProducts, _ w: Quads, _ q: __m256i) -> QuadProducts {
    (addNibbles(p.0, w.0, q), addNibbles(p.1, w.1, q))
}

/// The product of the sum and m is exact, so that to fuse it with the addition changes nothing.
@inline(__always)
func scaled(_ p: QuadProducts, _ d: F16, _ m: F16, _ sum: Float) -> F16 {
    @inline(__always) func part(_ v: __m256i, _ d: SIMD8<Float>, _ m: SIMD8<Float>) -> SIMD8<Float> {
        let products = _mm256_cvtepi32_ps(totals(v)) * d
        return _mm256_fmadd_ps(m, SIMD8(repeating: sum), products)
    }
    return F16(lowHalf: part(p.0, d.lowHalf, m.lowHalf), highHalf: part(p.1, d.highHalf, m.highHalf))
}
#endif
