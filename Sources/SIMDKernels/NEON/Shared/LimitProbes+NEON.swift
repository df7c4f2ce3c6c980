// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
import _Builtin_intrinsics.arm.neon

/// Eight product steps (`accumulate` of each set).
let multiplyAddsPerTurn = 8 * productsPerStep

func multiplyAdds(_ operands: UnsafeRawPointer, _ turns: Int) -> Int32 {
    @inline(__always) func fixed(_ k: Int) -> int8x16_t { load16(operands + 16 &* k) }
    let q0 = fixed(0), q1 = fixed(1), q2 = fixed(2), q3 = fixed(3)
    let q4 = fixed(4), q5 = fixed(5), q6 = fixed(6), q7 = fixed(7)
    var a0 = int32x4_t.zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0
    for turn in 0..<turns {
        let w = load16(operands + 16 &* (turn & 63))
        a0 = accumulate(a0, w, q0)
        a1 = accumulate(a1, w, q1)
        a2 = accumulate(a2, w, q2)
        a3 = accumulate(a3, w, q3)
        a4 = accumulate(a4, w, q4)
        a5 = accumulate(a5, w, q5)
        a6 = accumulate(a6, w, q6)
        a7 = accumulate(a7, w, q7)
    }
    return ((a0 &+ a1) &+ (a2 &+ a3) &+ (a4 &+ a5) &+ (a6 &+ a7)).wrappedSum()
}
#endif
