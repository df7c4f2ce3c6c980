// SPDX-License-Identifier: Apache-2.0

/// 32 weights d · q + m, q in 0...15, d and m halves given by their bits.
struct FourBitGroup {
    var d: UInt16 = 0
    var m: UInt16 = 0
    var q = SIMD32<UInt8>.zero
}

// MARK: Taken over

extension FourBitGroup {
    /// A Q4_1 block as it is; nil if d or m is not finite.
    init?(q4_1 block: UnsafeRawPointer) {
        self.init(d: block.halfBits(at: 0), m: block.halfBits(at: 2), q: nibbles(block + 4))
        guard isFinite else { return nil }
    }

    /// A Q4_0 block, d · (q - 8), as it is: m = -8 d is exact. nil if d or m is not finite.
    init?(q4_0 block: UnsafeRawPointer) {
        let d = block.half(at: 0)
        guard (8 * d).magnitude <= 65504 else { return nil }
        self.init(d: block.halfBits(at: 0), m: halfFromFloat(-8 * d), q: nibbles(block + 2))
    }

    private var isFinite: Bool { d & 0x7C00 != 0x7C00 && m & 0x7C00 != 0x7C00 }
}

/// Sixteen bytes of GGUF nibbles: byte i holds weights i (low) and i + 16.
private func nibbles(_ p: UnsafeRawPointer) -> SIMD32<UInt8> {
    let bytes = p.loadUnaligned(as: SIMD16<UInt8>.self)
    return SIMD32(lowHalf: bytes & 15, highHalf: bytes &>> 4)
}

extension UnsafeRawPointer {
    fileprivate func halfBits(at offset: Int) -> UInt16 {
        UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
}

// MARK: Quantized

extension FourBitGroup {
    /// Quantizes the 32 weights at `w`; nil if one is infinite, undefined or too large for a half.
    ///
    /// The range of the weights says where to begin. It is then stretched and shrunk in steps: the weights
    /// are rounded to sixteen levels, d and m are fitted to that by least squares and rounded to halves, the
    /// weights are rounded once more, to what d and m became, and of all the one with the smallest squared
    /// error is kept.
    /// - Parameter importance: what the squared error of each weight counts.
    init?(_ w: UnsafePointer<Float>, importance: UnsafePointer<Float>) {
        self.init()
        var (least, most) = (w[0], w[0])
        for i in 0..<32 {
            guard w[i].magnitude <= 65504 else { return nil }
            least = min(least, w[i])
            most = max(most, w[i])
        }
        // If there is nothing to tell apart, d = 0.
        m = halfFromFloat(least + (most - least) / 2)
        guard most - least >= 1e-7 else { return }
        let weights = Fours(w), importance = Fours(importance)
        var smallest = Float.infinity
        var best: (d: Float, m: Float) = (0, 0)
        for step in -4...10 {
            let (d, m) = fit(weights, importance, from: least, step: (most - least) / (15 + 0.2 * Float(step)))
            guard d != 0 else { continue }
            let error = squaredError(weights, importance, d, m)
            if error < smallest { (smallest, best) = (error, (d, m)) }
        }
        guard smallest < .infinity else { return }
        (d, m) = (halfFromFloat(best.d), halfFromFloat(best.m))
        for i in 0..<32 { q[i] = UInt8(weights.levels(i / 4, best.d, best.m)[i % 4]) }
    }
}

/// Vectors of four, which every processor has: wider ones become slow code where the target has none.
private struct Fours {
    private let pointer: UnsafeRawPointer

    init(_ pointer: UnsafePointer<Float>) { self.pointer = UnsafeRawPointer(pointer) }

    @inline(__always)
    subscript(i: Int) -> SIMD4<Float> { pointer.loadUnaligned(fromByteOffset: 16 * i, as: SIMD4<Float>.self) }

    /// The nearest of the sixteen levels d q + m.
    @inline(__always)
    func levels(_ i: Int, _ d: Float, _ m: Float) -> SIMD4<Float> {
        let q = (self[i] - m) / d
        let positive = q.replacing(with: 0, where: q .< 0)
        let magic: Float = 12_582_912  // adding it rounds to an integer
        return (positive.replacing(with: 15, where: positive .> 15) + magic) - magic
    }
}

/// The d and m, as halves have them, with the smallest squared error if weights are rounded to the levels
/// least + step q.
private func fit(_ w: Fours, _ importance: Fours, from least: Float, step: Float) -> (d: Float, m: Float) {
    var sums = (u: SIMD4<Float>.zero, w: SIMD4<Float>.zero, q: SIMD4<Float>.zero)
    var sumQQ = SIMD4<Float>.zero, sumQW = SIMD4<Float>.zero
    for i in 0..<8 {
        let q = w.levels(i, step, least), u = importance[i]
        sums.u += u
        sums.w += u * w[i]
        sums.q += u * q
        sumQQ += u * q * q
        sumQW += u * q * w[i]
    }
    let (u, sumW, sumQ) = (sums.u.sum(), sums.w.sum(), sums.q.sum())
    let determinant = u * sumQQ.sum() - sumQ * sumQ
    guard determinant > 0 else { return (0, 0) }
    let d = (u * sumQW.sum() - sumQ * sumW) / determinant
    let m = (sumW - d * sumQ) / u
    return (floatFromHalf(halfFromFloat(d)), floatFromHalf(halfFromFloat(m)))
}

private func squaredError(_ w: Fours, _ importance: Fours, _ d: Float, _ m: Float) -> Float {
    var sum = SIMD4<Float>.zero
    for i in 0..<8 {
        let difference = w.levels(i, d, m) * d + m - w[i]
        sum += importance[i] * difference * difference
    }
    return sum.sum()
}
