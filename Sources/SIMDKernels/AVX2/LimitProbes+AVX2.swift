// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
import _Builtin_intrinsics.intel

/// Six products of 32 bytes. (Without what gives the unsigned operand of vpmaddubsw its sign: the limit is the
/// multiplier's.)
let multiplyAddsPerTurn = 6 * 32

func multiplyAdds(_ operands: UnsafeRawPointer, _ turns: Int) -> Int32 {
    @inline(__always) func fixed(_ k: Int) -> Bytes32 { load32(operands + 32 &* k) }
    let q0 = fixed(0), q1 = fixed(1), q2 = fixed(2), q3 = fixed(3), q4 = fixed(4), q5 = fixed(5)
    var a0 = _mm256_setzero_si256(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0
    @inline(__always) func add(_ sums: __m256i, _ w: Bytes32, _ q: Bytes32) -> __m256i {
        _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(w, q), _mm256_set1_epi16(1)))
    }
    for turn in 0..<turns {
        let w = load32(operands + 32 &* (turn & 31))
        a0 = add(a0, w, q0)
        a1 = add(a1, w, q1)
        a2 = add(a2, w, q2)
        a3 = add(a3, w, q3)
        a4 = add(a4, w, q4)
        a5 = add(a5, w, q5)
    }
    let sums = _mm256_add_epi32(
        _mm256_add_epi32(_mm256_add_epi32(a0, a1), _mm256_add_epi32(a2, a3)), _mm256_add_epi32(a4, a5))
    return unsafeBitCast(sums, to: SIMD8<Int32>.self).wrappedSum()
}
#endif
