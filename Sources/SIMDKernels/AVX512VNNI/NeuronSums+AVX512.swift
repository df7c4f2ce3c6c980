// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

// Sums over neurons: the per-ISA primitives of ../Shared/EightRows. Interleaving leaves the columns of a block of 64 in another
// order (see `place`), which does not matter until the end.

let columnsAtOnce = 64

/// The correction for the unsigned weights is where the sums start.
@inline(__always)
func start(_ sum: Int32) -> __m512i { _mm512_set1_epi32(0 &- sum) }

@inline(__always)
func store(_ v: __m512i, _ p: UnsafeMutableRawPointer) { p.storeBytes(of: v, as: __m512i.self) }

/// Four activations of four neurons, in every lane.
@inline(__always)
func multiplier(_ p: UnsafeRawPointer) -> __m512i { broadcast(p) }

@inline(__always)
func integersAsFloats(_ p: UnsafeMutableRawPointer) -> F16 { _mm512_cvtepi32_ps(p.load(as: __m512i.self)) }

/// Where a register's four columns `c ..< c + 4` are: register k, lane l of a block of 64 holds columns
/// 16 l + 4 k and on.
@inline(__always)
func place(ofColumns c: Int) -> Int { (c & ~63) &+ 16 &* ((c &>> 2) & 3) &+ 4 &* ((c &>> 4) & 3) }

@inline(__always)
func add(
    _ p: UnsafeMutableRawPointer, _ a: __m512i, _ qa: __m512i, _ b: __m512i, _ qb: __m512i
) {
    let one = _mm512_dpbusd_epi32(p.load(as: __m512i.self), a, qa)
    p.storeBytes(of: _mm512_dpbusd_epi32(one, b, qb), as: __m512i.self)
}

/// One vpdpbusd then adds the four products of sixteen columns.
@inline(__always)
func interleave(
    _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeRawPointer, _ d: UnsafeRawPointer
) -> (__m512i, __m512i, __m512i, __m512i) {
    let a = offset(load64(a)), b = offset(load64(b)), c = offset(load64(c)), d = offset(load64(d))
    let abLow = _mm512_unpacklo_epi8(a, b), abHigh = _mm512_unpackhi_epi8(a, b)
    let cdLow = _mm512_unpacklo_epi8(c, d), cdHigh = _mm512_unpackhi_epi8(c, d)
    return (
        _mm512_unpacklo_epi16(abLow, cdLow), _mm512_unpackhi_epi16(abLow, cdLow),
        _mm512_unpacklo_epi16(abHigh, cdHigh), _mm512_unpackhi_epi16(abHigh, cdHigh)
    )
}
#endif
