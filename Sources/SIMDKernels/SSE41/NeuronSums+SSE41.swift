// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_SSE41
import KernelTable
import _Builtin_intrinsics.intel

// Sums over neurons: the per-ISA primitives of ../Shared/EightRows.

let columnsAtOnce = 16

@inline(__always)
func start(_ sum: Int32) -> __m128i { _mm_setzero_si128() }

@inline(__always)
func store(_ v: __m128i, _ p: UnsafeMutableRawPointer) { p.storeBytes(of: v, as: __m128i.self) }

/// Four activations of four neurons, in every lane.
@inline(__always)
func multiplier(_ p: UnsafeRawPointer) -> Factor { factor(spreadFour(p)) }

@inline(__always)
func add(_ p: UnsafeMutableRawPointer, _ a: Bytes16, _ qa: Factor, _ b: Bytes16, _ qb: Factor) {
    let one = accumulate(p.load(as: __m128i.self), qa, a)
    p.storeBytes(of: accumulate(one, qb, b), as: __m128i.self)
}

/// Sixteen outputs of four inputs each, from one row an input.
@inline(__always)
func interleave(
    _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeRawPointer, _ d: UnsafeRawPointer
) -> (__m128i, __m128i, __m128i, __m128i) {
    let a = load16(a), b = load16(b), c = load16(c), d = load16(d)
    let abLow = _mm_unpacklo_epi8(a, b), abHigh = _mm_unpackhi_epi8(a, b)
    let cdLow = _mm_unpacklo_epi8(c, d), cdHigh = _mm_unpackhi_epi8(c, d)
    return (
        _mm_unpacklo_epi16(abLow, cdLow), _mm_unpackhi_epi16(abLow, cdLow),
        _mm_unpacklo_epi16(abHigh, cdHigh), _mm_unpackhi_epi16(abHigh, cdHigh)
    )
}

@inline(__always)
func integersAsFloats(_ p: UnsafeMutableRawPointer) -> F16 {
    let s = p.assumingMemoryBound(to: __m128i.self)
    return floats(s[0], s[1], s[2], s[3])
}

/// The columns are in order.
@inline(__always)
func place(ofColumns c: Int) -> Int { c }
#endif
