// SPDX-License-Identifier: Apache-2.0

// The per-ISA primitives of ../Shared, for the scalar set: lane by lane.

let setName = "scalar"

/// How many sums of sixteen lanes the registers hold beside what is added to them.
let accumulators = 4

/// `a > b ? a : b`, lane by lane.
@inline(__always)
func vmax(_ a: F16, _ b: F16) -> F16 { b.replacing(with: a, where: a .> b) }

/// `a < b ? a : b`, lane by lane.
@inline(__always)
func vmin(_ a: F16, _ b: F16) -> F16 { b.replacing(with: a, where: a .< b) }

/// Sixteen finite halves as floats: the exponent is moved by a multiplication, which also brings
/// subnormal halves to where they belong.
@inline(__always)
func loadHalves(_ p: UnsafePointer<UInt16>) -> F16 {
    let halves = UnsafeRawPointer(p).loadUnaligned(as: SIMD16<UInt16>.self)
    var wide = SIMD16<UInt32>.zero
    for i in 0..<16 { wide[i] = UInt32(halves[i]) }
    let size = unsafeBitCast((wide & 0x7FFF) &<< 13, to: F16.self) * Float(bitPattern: 0x7780_0000)
    let sign = (wide & 0x8000) &<< 16
    return unsafeBitCast(unsafeBitCast(size, to: SIMD16<UInt32>.self) | sign, to: F16.self)
}

@inline(__always)
func loadBytes(_ p: UnsafePointer<Int8>) -> F16 {
    var v = F16.zero
    for i in 0..<16 { v[i] = Float(p[i]) }
    return v
}

/// Writes `first + l` for every lane l with a score of at least `least`, contiguously; returns how many. Room for
/// sixteen is overwritten.
@inline(__always)
func storeIndices(_ first: Int32, _ scores: F16, _ least: Float, _ out: UnsafeMutablePointer<Int32>) -> Int {
    var found = 0
    for l in 0..<16 {
        out[found] = first &+ Int32(l)
        found &+= scores[l] >= least ? 1 : 0
    }
    return found
}

@inline(__always)
func storeBytes(_ v: I16, _ p: UnsafeMutablePointer<Int8>) {
    for i in 0..<16 { p[i] = Int8(truncatingIfNeeded: v[i]) }
}

/// Nothing: it would need an instruction that not every processor has.
@inline(__always)
func prefetch(_ p: UnsafeRawPointer) {}
