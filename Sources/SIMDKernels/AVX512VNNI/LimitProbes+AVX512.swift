// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import _Builtin_intrinsics.intel

/// Twelve vpdpbusd of 64 bytes.
let multiplyAddsPerTurn = 12 * 64

func multiplyAdds(_ operands: UnsafeRawPointer, _ turns: Int) -> Int32 {
    @inline(__always) func fixed(_ k: Int) -> Bytes64 { load64(operands + 64 &* k) }
    let q0 = fixed(0), q1 = fixed(1), q2 = fixed(2), q3 = fixed(3), q4 = fixed(4), q5 = fixed(5)
    var a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0
    var b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0
    for turn in 0..<turns {
        let w = load64(operands + 64 &* (turn & 15)), v = load64(operands + 64 &* ((turn &+ 1) & 15))
        a0 = _mm512_dpbusd_epi32(a0, w, q0)
        a1 = _mm512_dpbusd_epi32(a1, w, q1)
        a2 = _mm512_dpbusd_epi32(a2, w, q2)
        a3 = _mm512_dpbusd_epi32(a3, w, q3)
        a4 = _mm512_dpbusd_epi32(a4, w, q4)
        a5 = _mm512_dpbusd_epi32(a5, w, q5)
        b0 = _mm512_dpbusd_epi32(b0, v, q0)
        b1 = _mm512_dpbusd_epi32(b1, v, q1)
        b2 = _mm512_dpbusd_epi32(b2, v, q2)
        b3 = _mm512_dpbusd_epi32(b3, v, q3)
        b4 = _mm512_dpbusd_epi32(b4, v, q4)
        b5 = _mm512_dpbusd_epi32(b5, v, q5)
    }
    let a = _mm512_add_epi32(
        _mm512_add_epi32(_mm512_add_epi32(a0, a1), _mm512_add_epi32(a2, a3)), _mm512_add_epi32(a4, a5))
    let b = _mm512_add_epi32(
        _mm512_add_epi32(_mm512_add_epi32(b0, b1), _mm512_add_epi32(b2, b3)), _mm512_add_epi32(b4, b5))
    return unsafeBitCast(_mm512_add_epi32(a, b), to: SIMD16<Int32>.self).wrappedSum()
}
#endif
