// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
// Products without AVX-VNNI: the primitives in which the two sets of 256 bits differ.

import _Builtin_intrinsics.intel

let setName = "avx2"

/// Activations that weights are multiplied by, each once. vpmaddubsw has one unsigned operand, so the activation gives its
/// magnitude, and the weight takes its sign.
typealias Multiplier = (magnitude: Bytes32, value: Bytes32)

@inline(__always)
func multiplier(_ x: Bytes32) -> Multiplier { (_mm256_abs_epi8(x), x) }

/// Four adjacent products are added to each 32-bit lane. 2 * 127 * 127 fits 16 bits.
@inline(__always)
func accumulate(_ sums: __m256i, _ w: Bytes32, times x: Multiplier) -> __m256i {
    let pairs = _mm256_maddubs_epi16(x.magnitude, _mm256_sign_epi8(w, x.value))
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// Weights that several tokens' activations are multiplied by: here the weight gives its magnitude.
typealias Operand = (magnitude: Bytes32, weight: Bytes32)

@inline(__always)
func accumulate(_ sums: __m256i, _ w: Operand, _ x: Bytes32) -> __m256i {
    let pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(x, w.weight))
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// Where the sums of a group begin, given 128 times the sum of its activations.
@inline(__always)
func origin(_ sum: Int32) -> Int32 { 0 }

/// The weights of a tile, and what products take of them.
@inline(__always)
func packed(_ w: Bytes32) -> Bytes32 { w }

@inline(__always)
func unpacked(_ w: Bytes32) -> Operand { (_mm256_abs_epi8(w), w) }

/// The products of a half group of 4-bit weights with eight rows. Pairs of them stay in 16 bits to the end: eight times
/// 2 * 15 * 127 is below 2^15.
@inline(__always)
func addNibbles(_ sums: __m256i, _ w: Bytes32, _ x: Bytes32) -> __m256i {
    _mm256_add_epi16(sums, _mm256_maddubs_epi16(w, x))
}

@inline(__always)
func totals(_ sums: __m256i) -> __m256i { _mm256_madd_epi16(sums, _mm256_set1_epi16(1)) }

/// A step of the probe of the multiplier's limit.
@inline(__always)
func multiplyAdd(_ sums: __m256i, _ w: Bytes32, _ x: Bytes32) -> __m256i {
    _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)))
}
#endif
