// SPDX-License-Identifier: Apache-2.0

// Compiled for x86 sets with sixteen registers (AVX2 and SSE4.1): as many product steps as they have room for. Each set
// defines `multiplyAdd`, a step without what gives its unsigned operand a sign, since the limit is the multiplier's, and
// `total`, the sum of the lanes.

private let registerBytes = MemoryLayout<Register>.size
let multiplyAddsPerTurn = 6 * registerBytes

func multiplyAdds(_ operands: UnsafeRawPointer, _ turns: Int) -> Int32 {
    @inline(__always) func operand(_ k: Int) -> Register {
        (operands + registerBytes &* k).loadUnaligned(as: Register.self)
    }
    let q0 = operand(0), q1 = operand(1), q2 = operand(2), q3 = operand(3), q4 = operand(4), q5 = operand(5)
    var a0 = Register.zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0
    for turn in 0..<turns {
        let w = operand(turn & 31)
        a0 = multiplyAdd(a0, w, q0)
        a1 = multiplyAdd(a1, w, q1)
        a2 = multiplyAdd(a2, w, q2)
        a3 = multiplyAdd(a3, w, q3)
        a4 = multiplyAdd(a4, w, q4)
        a5 = multiplyAdd(a5, w, q5)
    }
    return total(a0) &+ total(a1) &+ total(a2) &+ total(a3) &+ total(a4) &+ total(a5)
}
