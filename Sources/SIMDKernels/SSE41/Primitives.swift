// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_SSE41
// The per-ISA primitives of ../Shared, which Swift's SIMD types do not lower to a few instructions.

import _Builtin_intrinsics.intel

let setName = "sse41"

typealias Bytes16 = __m128i
typealias Register = __m128i

/// Bytes from the rows being read to what is prefetched after them, at least. (Chosen like that of AVX2, not measured.)
let leastPrefetchBytes = 2048

/// How many sums of sixteen lanes the registers hold beside what is added to them.
let accumulators = 2

/// A function of four lanes, on sixteen.
@inline(__always)
private func fourTimes(_ a: F16, _ b: F16, _ f: (__m128, __m128) -> __m128) -> F16 {
    F16(
        lowHalf: SIMD8(
            lowHalf: f(a.lowHalf.lowHalf, b.lowHalf.lowHalf), highHalf: f(a.lowHalf.highHalf, b.lowHalf.highHalf)),
        highHalf: SIMD8(
            lowHalf: f(a.highHalf.lowHalf, b.highHalf.lowHalf), highHalf: f(a.highHalf.highHalf, b.highHalf.highHalf)))
}

/// `a > b ? a : b`, lane by lane.
@inline(__always)
func vmax(_ a: F16, _ b: F16) -> F16 { fourTimes(a, b) { _mm_max_ps($0, $1) } }

/// `a < b ? a : b`, lane by lane.
@inline(__always)
func vmin(_ a: F16, _ b: F16) -> F16 { fourTimes(a, b) { _mm_min_ps($0, $1) } }

/// Sixteen integers as floats.
@inline(__always)
func floats(_ a: __m128i, _ b: __m128i, _ c: __m128i, _ d: __m128i) -> F16 {
    F16(
        lowHalf: SIMD8(lowHalf: _mm_cvtepi32_ps(a), highHalf: _mm_cvtepi32_ps(b)),
        highHalf: SIMD8(lowHalf: _mm_cvtepi32_ps(c), highHalf: _mm_cvtepi32_ps(d)))
}

/// Sixteen finite halves as floats: sign, exponent and digits are put in their places, and a multiplication moves the
/// exponent, which also brings subnormal halves to where they belong.
@inline(__always)
func loadHalves(_ p: UnsafePointer<UInt16>) -> F16 {
    @inline(__always) func four(_ i: Int) -> SIMD4<Float> {
        let bits = UnsafeRawPointer(p + i).loadUnaligned(as: Int64.self)
        let wide = _mm_slli_epi32(_mm_cvtepi16_epi32(SIMD2(bits, 0)), 13)
        let placed = _mm_and_si128(wide, _mm_set1_epi32(Int32(bitPattern: 0x8FFF_E000)))
        return unsafeBitCast(placed, to: SIMD4<Float>.self) * Float(bitPattern: 0x7780_0000)
    }
    return F16(
        lowHalf: SIMD8(lowHalf: four(0), highHalf: four(4)), highHalf: SIMD8(lowHalf: four(8), highHalf: four(12)))
}

@inline(__always)
func loadBytes(_ p: UnsafePointer<Int8>) -> F16 {
    @inline(__always) func four(_ i: Int) -> __m128i {
        _mm_cvtepi8_epi32(
            unsafeBitCast(SIMD4(UnsafeRawPointer(p + i).loadUnaligned(as: Int32.self), 0, 0, 0), to: __m128i.self))
    }
    return floats(four(0), four(4), four(8), four(12))
}

@inline(__always)
func storeBytes(_ v: I16, _ p: UnsafeMutablePointer<Int8>) {
    @inline(__always) func words(_ v: SIMD8<Int32>) -> __m128i {
        _mm_packs_epi32(
            unsafeBitCast(v.lowHalf, to: __m128i.self), unsafeBitCast(v.highHalf, to: __m128i.self))
    }
    let bytes = _mm_packs_epi16(words(v.lowHalf), words(v.highHalf))
    UnsafeMutableRawPointer(p).storeBytes(of: bytes, as: __m128i.self)
}

/// Writes `first + l` for every lane l with a score of at least `least`, contiguously; returns how many. Room for
/// sixteen is overwritten.
@inline(__always)
func storeIndices(_ first: Int32, _ scores: F16, _ least: Float, _ out: UnsafeMutablePointer<Int32>) -> Int {
    let bound = __m128(repeating: least)
    @inline(__always) func mask(_ four: SIMD4<Float>) -> UInt32 {
        UInt32(bitPattern: _mm_movemask_ps(_mm_cmpge_ps(four, bound)))
    }
    let low = mask(scores.lowHalf.lowHalf) | mask(scores.lowHalf.highHalf) &<< 4
    let high = mask(scores.highHalf.lowHalf) | mask(scores.highHalf.highHalf) &<< 4
    return storeIndices(first, low | high &<< 8, out)
}

/// The sum of the 32-bit lanes.
@inline(__always)
func total(_ v: __m128i) -> Int32 { unsafeBitCast(v, to: SIMD4<Int32>.self).wrappedSum() }

/// A step of the probe of the multiplier's limit.
@inline(__always)
func multiplyAdd(_ sums: __m128i, _ w: Bytes16, _ x: Bytes16) -> __m128i {
    _mm_add_epi32(sums, _mm_madd_epi16(_mm_maddubs_epi16(w, x), _mm_set1_epi16(1)))
}

@inline(__always)
func load16(_ p: UnsafeRawPointer) -> Bytes16 { p.loadUnaligned(as: Bytes16.self) }

/// Four activations, once for every 32-bit lane.
@inline(__always)
func spreadFour(_ p: UnsafeRawPointer) -> Bytes16 { _mm_set1_epi32(p.loadUnaligned(as: Int32.self)) }

/// Bytes and their magnitudes: pmaddubsw has one unsigned operand, so one factor gives its magnitude, and the other one
/// takes its sign.
typealias Factor = (magnitude: Bytes16, value: Bytes16)

@inline(__always)
func factor(_ v: Bytes16) -> Factor { (_mm_abs_epi8(v), v) }

/// Adds four adjacent products to each 32-bit lane. 2 * 127 * 127 fits 16 bits.
@inline(__always)
func accumulate(_ sums: __m128i, _ a: Factor, _ b: Bytes16) -> __m128i {
    let pairs = _mm_maddubs_epi16(a.magnitude, _mm_sign_epi8(b, a.value))
    return _mm_add_epi32(sums, _mm_madd_epi16(pairs, _mm_set1_epi16(1)))
}
#endif
