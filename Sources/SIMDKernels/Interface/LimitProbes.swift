// SPDX-License-Identifier: Apache-2.0

/// What measures a machine: loops that do nothing but read memory, or multiply what lies in registers. How near the
/// kernels come to these is how well they are written.
package struct LimitProbes: Sendable {
    /// Reads all bytes once, in order. Returns a sum that depends on each, so that no read can be left out.
    package let readBytes: @Sendable (UnsafeRawBufferPointer) -> UInt64
    /// `turns * multiplyAddsPerTurn` products of bytes, added to 32-bit sums, as fast as the instruction set can, on 1 KiB
    /// of operands.
    package let multiplyAdds: @Sendable (_ operands: UnsafeRawPointer, _ turns: Int) -> Int32
    package let multiplyAddsPerTurn: Int

    package init(
        readBytes: @escaping @Sendable (UnsafeRawBufferPointer) -> UInt64,
        multiplyAdds: @escaping @Sendable (_ operands: UnsafeRawPointer, _ turns: Int) -> Int32,
        multiplyAddsPerTurn: Int
    ) {
        self.readBytes = readBytes
        self.multiplyAdds = multiplyAdds
        self.multiplyAddsPerTurn = multiplyAddsPerTurn
    }
}
