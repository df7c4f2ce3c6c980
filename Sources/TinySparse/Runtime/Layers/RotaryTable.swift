// SPDX-License-Identifier: Apache-2.0

/// Cosines and sines of the rotary positions, a row of pairs for every position.
///
/// Computed with the formulas of docs/NUMERICS.md, 7, and not with the system's math library, whose last
/// bits differ between systems. Rows are made when a position is first needed.
package final class RotaryTable {
    let pairs: Int
    private let frequencies: [Double]
    private let scaling: Double
    private let cosines: AlignedBuffer<Float>
    private let sines: AlignedBuffer<Float>
    private var filled = 0

    package init(
        base: Double, scaling: Double, dims: Int, factors: [Float], positions: Int, in memory: SessionMemory? = nil
    ) throws(RuntimeError) {
        pairs = dims / 2
        self.scaling = scaling
        let logBase = Double64.ln(base)
        frequencies = (0..<dims / 2).map { i in
            let f = Double64.exp(-(Double(2 * i) / Double(dims)) * logBase)
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
                cosines.pointer[filled * pairs + i] = Float(cos)
                sines.pointer[filled * pairs + i] = Float(sin)
            }
            filled += 1
        }
    }

    package func cosines(at position: Int) -> UnsafePointer<Float> { UnsafePointer(cosines.pointer + position * pairs) }
    package func sines(at position: Int) -> UnsafePointer<Float> { UnsafePointer(sines.pointer + position * pairs) }
}
