// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_SSE41
import _Builtin_intrinsics.intel

/// Six products of 16 bytes. (Without what gives the unsigned operand its sign: the limit is the multiplier's.)
let multiplyAddsPerTurn = 6 * 16

func multiplyAdds(_ operands: UnsafeRawPointer, _ turns: Int) -> Int32 {
    @inline(__always) func fixed(_ k: Int) -> Bytes16 { load16(operands + 16 &* k) }
    let q0 = fixed(0), q1 = fixed(1), q2 = fixed(2), q3 = fixed(3), q4 = fixed(4), q5 = fixed(5)
    var a0 = _mm_setzero_si128(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0
    @inline(__always) func add(_ sums: __m128i, _ w: Bytes16, _ q: Bytes16) -> __m128i {
        _mm_add_epi32(sums, _mm_madd_epi16(_mm_maddubs_epi16(w, q), _mm_set1_epi16(1)))
    }
    for turn in 0..<turns {
        let w = load16(operands + 16 &* (turn & 63))
        a0 = add(a0, w, q0)
        a1 = add(a1, w, q1)
        a2 = add(a2, w, q2)
        a3 = add(a3, w, q3)
        a4 = add(a4, w, q4)
        a5 = add(a5, w, q5)
    }
    let sums = _mm_add_epi32(_mm_add_epi32(_mm_add_epi32(a0, a1), _mm_add_epi32(a2, a3)), _mm_add_epi32(a4, a5))
    return unsafeBitCast(sums, to: SIMD4<Int32>.self).wrappedSum()
}
#endif
