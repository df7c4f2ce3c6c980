// SPDX-License-Identifier: Apache-2.0

/// The value of an IEEE 754 half given by its bits, exactly.
///
/// Written with integer operations and one multiplication, because that
/// vectorizes on every target; the library call behind `Float16` does not.
@inlinable @inline(__always)
package func floatFromHalf(_ bits: UInt16) -> Float {
    let magnitude = UInt32(bits & 0x7fff) << 13
    // Rebias the exponent from 15 to 127; the multiplication also normalizes subnormals.
    let finite = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
    let special = magnitude | 0x7f80_0000
    let value = magnitude >= 0x0f80_0000 ? special : finite
    return Float(bitPattern: value | UInt32(bits & 0x8000) << 16)
}

/// The bits of the half nearest to `x`, ties to even; the largest finite half for what is larger.
func halfFromFloat(_ x: Float) -> UInt16 {
    let size = min(x.magnitude, 65504)
    let bits = size.bitPattern
    let half =
        size < 0x1p-14
        // The last place of 1/2 is that of subnormal halves, so the addition rounds to it.
        ? (size + 0.5).bitPattern - Float(0.5).bitPattern
        : ((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112 << 10)
    return UInt16(half) | UInt16(x.bitPattern >> 16 & 0x8000)
}

/// The value of a bfloat16 given by its bits: the upper half of a `Float`.
@inlinable @inline(__always)
package func floatFromBFloat16(_ bits: UInt16) -> Float {
    Float(bitPattern: UInt32(bits) << 16)
}

extension UnsafeRawPointer {
    /// The half stored at byte `offset`, of any alignment.
    @inline(__always)
    func half(at offset: Int) -> Float {
        floatFromHalf(UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
    }

    /// The byte at `offset`.
    @inline(__always)
    func byte(at offset: Int) -> UInt8 {
        load(fromByteOffset: offset, as: UInt8.self)
    }
}
