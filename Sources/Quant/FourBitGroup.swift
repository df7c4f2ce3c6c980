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

// MARK: Quantised

extension FourBitGroup {
    /// Quantises the `count` (at most 32) weights at `source`; nil if one is infinite, undefined or too large
    /// for a half.
    ///
    /// The range of the weights says where to begin. It is then stretched and shrunk in steps: the weights
    /// are rounded to sixteen levels, d and m are fitted to that by least squares and rounded to halves, the
    /// weights are rounded once more, to what d and m became, and of all the one with the smallest squared
    /// error is kept.
    init?(_ source: UnsafePointer<Float>, _ count: Int) {
        self.init()
        // Missing weights are repeats of the first, so that they widen nothing.
        var w = SIMD32<Float>(repeating: source[0])
        for i in 0..<count { w[i] = source[i] }
        let least = w.min(), most = w.max()
        guard all(w .== w), max(-least, most) <= 65504 else { return nil }
        guard most - least >= 1e-7 else {
            // Nothing to tell apart: d = 0.
            m = halfFromFloat(least + (most - least) / 2)
            return
        }
        var smallest = Float.infinity
        for step in -4...10 {
            let levels = (w - least) * ((15 + 0.2 * Float(step)) / (most - least))
            let (d, m) = fit(w, toLevels: rounded(levels))
            let halfD = halfFromFloat(d), halfM = halfFromFloat(m)
            let exactD = floatFromHalf(halfD), exactM = floatFromHalf(halfM)
            guard exactD != 0 else { continue }
            let q = rounded((w - exactM) / exactD)
            let difference = q * exactD + exactM - w
            let error = sum(difference * difference)
            if error < smallest {
                smallest = error
                self = FourBitGroup(d: halfD, m: halfM, q: SIMD32<UInt8>(truncatingIfNeeded: integers(q)))
            }
        }
        if smallest == .infinity { m = halfFromFloat(least + (most - least) / 2) }
    }
}

/// The d and m with the smallest squared error of w = d q + m.
private func fit(_ w: SIMD32<Float>, toLevels q: SIMD32<Float>) -> (d: Float, m: Float) {
    let sumW = sum(w), sumQ = sum(q)
    let determinant = 32 * sum(q * q) - sumQ * sumQ
    guard determinant > 0 else { return (0, sumW / 32) }
    let d = (32 * sum(q * w) - sumQ * sumW) / determinant
    return (d, (sumW - d * sumQ) / 32)
}

private let magic: Float = 12_582_912

/// To the nearest of 0...15.
private func rounded(_ v: SIMD32<Float>) -> SIMD32<Float> {
    let above = v.replacing(with: 0, where: v .< 0)
    return (above.replacing(with: 15, where: above .> 15) + magic) - magic
}

private func integers(_ v: SIMD32<Float>) -> SIMD32<UInt32> {
    unsafeBitCast(v + magic, to: SIMD32<UInt32>.self) & 15
}

private func sum(_ v: SIMD32<Float>) -> Float {
    let a = v.lowHalf + v.highHalf
    let b = a.lowHalf + a.highHalf
    let c = b.lowHalf + b.highHalf
    return (c[0] + c[1]) + (c[2] + c[3])
}
