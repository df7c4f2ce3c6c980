// SPDX-License-Identifier: Apache-2.0

/// Elementary functions in Double with the same bits everywhere (docs/NUMERICS.md, 7).
package enum Double64 {
    /// Natural logarithm of a positive, finite, normal number.
    package static func ln(_ x: Double) -> Double {
        var e = Double(x.exponent) + 1
        var m = x.significand / 2
        if m < 0.70710678118654752 {
            m = 2 * m
            e -= 1
        }
        let t = (m - 1) / (m + 1)
        let z = t * t
        var p = 0.0
        for k in stride(from: 13, through: 0, by: -1) { p = p * z + 1 / Double(2 * k + 1) }
        return e * 0.6931471805599453 + (2 * t) * p
    }

    /// For |x| < 700; far beyond that 0 or infinity, and of no number none.
    package static func exp(_ x: Double) -> Double {
        guard x.magnitude < 0x1p30 else { return x > 0 ? .infinity : x < 0 ? 0 : .nan }
        let n = (x * 1.4426950408889634).rounded(.toNearestOrEven)
        let r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
        var p = 1.0
        for k in stride(from: 13, through: 1, by: -1) { p = 1 + (p * r) / Double(k) }
        return p * Double(sign: .plus, exponent: Int(n), significand: 1)
    }

    /// For |angle| below about 10^9; no numbers from 2^62 on.
    package static func sinCos(_ angle: Double) -> (sin: Double, cos: Double) {
        guard angle.magnitude < 0x1p62 else { return (.nan, .nan) }
        let n = (angle * 0.6366197723675814).rounded(.toNearestOrEven)
        let r = ((angle - n * 1.5707963267341256) - n * 6.077100506303966e-11) - n * 2.0222662487959506e-21
        let z = r * r
        var s = 1.0, c = 1.0
        for k in stride(from: 8, through: 1, by: -1) {
            s = 1 - (s * z) / Double(2 * k * (2 * k + 1))
            c = 1 - (c * z) / Double((2 * k - 1) * (2 * k))
        }
        s = r * s
        return switch Int(n) & 3 {
        case 0: (s, c)
        case 1: (c, -s)
        case 2: (-s, -c)
        default: (-c, s)
        }
    }
}
