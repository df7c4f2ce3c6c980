// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX2
import _Builtin_intrinsics.intel

/// Six products of 32 bytes.
let multiplyAddsPerTurn = 6 * 32

func multiplyAdds(_ operands: UnsafeRawPointer, _ turns: Int) -> Int32 {
    @inline(__always) func fixed(_ k: Int) -> Bytes32 { load32(operands + 32 &* k) }
    let q0 = fixed(0), q1 = fixed(1), q2 = fixed(2), q3 = fixed(3), q4 = fixed(4), q5 = fixed(5)
    var a0 = _mm256_setzero_si256(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0
    for turn in 0..<turns {
        let w = load32(operands + 32 &* (turn & 31))
        a0 = multiplyAdd(a0, w, q0)
        a1 = multiplyAdd(a1, w, q1)
        a2 = multiplyAdd(a2, w, q2)
        a3 = multiplyAdd(a3, w, q3)
        a4 = multiplyAdd(a4, w, q4)
        a5 = multiplyAdd(a5, w, q5)
    }
    let sums = _mm256_add_epi32(
        _mm256_add_epi32(_mm256_add_epi32(a0, a1), _mm256_add_epi32(a2, a3)), _mm256_add_epi32(a4, a5))
    return unsafeBitCast(sums, to: SIMD8<Int32>.self).wrappedSum()
}
#endif
