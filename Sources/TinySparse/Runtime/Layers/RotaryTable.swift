// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// Cosines and sines of the rotary positions, a row of pairs for every position.
///
/// Computed with the formulas of docs/NUMERICS.md, 7, and not with the system's math library, whose last
/// bits differ between systems. Rows are made when a position is first needed.
package final class RotaryTable {
    let pairs: Int
    private let frequencies: [Double]
    private let scaling, magnitude: Double
    private let cosines: AlignedBuffer<Float>
    private let sines: AlignedBuffer<Float>
    private var filled = 0

    /// - Parameter positions: how many there can be, which is what the session can hold.
    package init(_ rope: RotaryEmbedding, positions: Int, in memory: SessionMemory? = nil) throws(RuntimeError) {
        pairs = rope.dims / 2
        (scaling, magnitude) = (rope.scaling, rope.magnitude)
        let logBase = Double64.ln(rope.base), factors = rope.factors(context: positions)
        frequencies = (0..<pairs).map { i in
            let f = Double64.exp(-(Double(2 * i) / Double(rope.dims)) * logBase)
            return factors.isEmpty ? f : f / Double(factors[i])
        }
        cosines = try AlignedBuffer(positions * pairs, in: memory)
        sines = try AlignedBuffer(positions * pairs, in: memory)
    }

    /// Makes the rows of all positions below `count`.
    package func fill(upTo count: Int) {
        while filled < count {
            for i in 0..<pairs {
                let (sin, cos) = Double64.sinCos((Double(filled) * frequencies[i]) / scaling)
                cosines.pointer[filled * pairs + i] = Float(cos * magnitude)
                sines.pointer[filled * pairs + i] = Float(sin * magnitude)
            }
            filled += 1
        }
    }

    /// Rotates `heads` heads of `width` values at a position that has been filled.
    func rotate(
        _ x: UnsafeMutablePointer<Float>, _ heads: Int, width: Int, at position: Int, _ kernels: KernelTable
    ) {
        for h in 0..<heads { kernels.rope(x + h * width, cosines(at: position), sines(at: position), pairs) }
    }

    package func cosines(at position: Int) -> UnsafePointer<Float> { UnsafePointer(cosines.pointer + position * pairs) }
    package func sines(at position: Int) -> UnsafePointer<Float> { UnsafePointer(sines.pointer + position * pairs) }
}
