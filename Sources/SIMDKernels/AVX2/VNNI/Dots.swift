// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
// Products with AVX-VNNI, vpdpbusd on 256 bits without AVX-512 (Alder Lake-N and later): the primitives in which the two
// sets of 256 bits differ.

import _Builtin_intrinsics.intel

let setName = "avxvnni"

/// Activations that weights are multiplied by, each once.
typealias Multiplier = Bytes32

@inline(__always)
func multiplier(_ x: Bytes32) -> Multiplier { x }

/// Four adjacent products are added to each 32-bit lane.
@inline(__always)
func accumulate(_ sums: __m256i, _ w: Bytes32, times x: Multiplier) -> __m256i { accumulate(sums, packed(w), x) }

/// Weights that several tokens' activations are multiplied by.
typealias Operand = Bytes32

@inline(__always)
func accumulate(_ sums: __m256i, _ w: Operand, _ x: Bytes32) -> __m256i { _mm256_dpbusd_avx_epi32(sums, w, x) }

/// Where the sums of a group begin, given 128 times the sum of its activations: the offset is taken off.
@inline(__always)
func origin(_ sum: Int32) -> Int32 { 0 &- sum }

/// The weights of a tile, and what products take of them. vpdpbusd has one unsigned operand, so they are offset by 128.
@inline(__always)
func packed(_ w: Bytes32) -> Bytes32 { _mm256_xor_si256(w, _mm256_set1_epi8(-128)) }

@inline(__always)
func unpacked(_ w: Bytes32) -> Operand { w }

/// The products of a half group of 4-bit weights, which are unsigned, with eight rows.
@inline(__always)
func addNibbles(_ sums: __m256i, _ w: Bytes32, _ x: Bytes32) -> __m256i { _mm256_dpbusd_avx_epi32(sums, w, x) }

@inline(__always)
func totals(_ sums: __m256i) -> __m256i { sums }

/// A step of the probe of the multiplier's limit.
@inline(__always)
func multiplyAdd(_ sums: __m256i, _ w: Bytes32, _ x: Bytes32) -> __m256i { _mm256_dpbusd_avx_epi32(sums, w, x) }
#endif
