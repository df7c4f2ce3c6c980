// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target (the sets' folders link to this one): the
// element-by-element kernels, written on sixteen virtual lanes. `SIMD16<Float>` becomes one AVX-512
// register, two AVX2 or four NEON ones. What Swift's SIMD types lower badly is a per-ISA primitive,
// defined in each set's Primitives.swift: vmax, vmin, loadHalves, loadBytes.

import KernelTable

typealias F16 = SIMD16<Float>
typealias I16 = SIMD16<Int32>

@inline(__always)
func load(_ p: UnsafePointer<Float>) -> F16 { UnsafeRawPointer(p).loadUnaligned(as: F16.self) }

@inline(__always)
func store(_ v: F16, _ p: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(p).storeBytes(of: v, as: F16.self)
}

/// The first `count` (< 16) elements, the rest zero.
@inline(__always)
func loadPart(_ p: UnsafePointer<Float>, _ count: Int) -> F16 {
    var v = F16.zero
    for i in 0..<count { v[i] = p[i] }
    return v
}

@inline(__always)
func storePart(_ v: F16, _ p: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { p[i] = v[i] }
}

/// Runs `body` over 16 elements at a time of an in-place vector.
@inline(__always)
func forEach16(_ x: UnsafeMutablePointer<Float>, _ count: Int, _ body: (F16, Int) -> F16) {
    var i = 0
    while i &+ 16 <= count {
        store(body(load(x + i), i), x + i)
        i &+= 16
    }
}

/// The fixed tree in which the sixteen lanes of a sum meet.
@inline(__always)
func tree(_ v: F16) -> Float {
    let a = v.lowHalf + v.highHalf
    let b = a.lowHalf + a.highHalf
    let c = b.lowHalf + b.highHalf
    return c[0] + c[1]
}

/// Adding this rounds a float of magnitude below 2^22 to an integer, ties to even, and leaves that
/// integer in the low bits.
let roundingMagic: Float = 12_582_912

@inline(__always)
func exponential(_ input: F16) -> F16 {
    let x = vmin(vmax(input, F16(repeating: -87)), F16(repeating: 88))
    let shifted = x * 1.442_695_040_888_963_41 + roundingMagic
    let n = shifted - roundingMagic
    let r = (x - n * 0.693_359_375) - n * -2.121_944_40e-4
    var p = F16(repeating: 1.987_569_150_0e-4)
    p = p * r + 1.398_199_950_7e-3
    p = p * r + 8.333_451_907_3e-3
    p = p * r + 4.166_579_589_4e-2
    p = p * r + 1.666_666_545_9e-1
    p = p * r + 5.000_000_120_1e-1
    let value = (p * (r * r) + r) + 1
    let power = (unsafeBitCast(shifted, to: I16.self) &+ (127 &- 0x4B40_0000)) &<< 23
    return value * unsafeBitCast(power, to: F16.self)
}

// MARK: Quantized activations

func quantize(
    _ x: UnsafePointer<Float>, _ count: Int, _ values: UnsafeMutablePointer<Int8>,
    _ scales: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Int32>
) {
    var first = 0, group = 0
    while first < count {
        if first &+ groupSize <= count {
            quantizeGroup(x + first, values + first, scales + group, sums + group)
        } else {
            withUnsafeTemporaryAllocation(of: Float.self, capacity: groupSize) { padded in
                let p = padded.baseAddress!
                for i in 0..<groupSize { p[i] = first &+ i < count ? x[first &+ i] : 0 }
                quantizeGroup(p, values + first, scales + group, sums + group)
            }
        }
        first &+= groupSize
        group &+= 1
    }
}

@inline(__always)
func quantizeGroup(
    _ x: UnsafePointer<Float>, _ values: UnsafeMutablePointer<Int8>,
    _ scale: UnsafeMutablePointer<Float>, _ sum: UnsafeMutablePointer<Int32>
) {
    let a = load(x), b = load(x + 16), c = load(x + 32), d = load(x + 48)
    let m = vmax(vmax(magnitude(a), magnitude(b)), vmax(magnitude(c), magnitude(d)))
    let m8 = SIMD8(lowHalf: m.lowHalf.lowHalf, highHalf: m.lowHalf.highHalf)
        .replacing(with: m.highHalf, where: m.highHalf .> m.lowHalf)
    let m4 = m8.lowHalf.replacing(with: m8.highHalf, where: m8.highHalf .> m8.lowHalf)
    let amax = Swift.max(Swift.max(m4[0], m4[1]), Swift.max(m4[2], m4[3]))
    guard amax >= 1e-30, amax < .infinity else {
        // Not finite: the scale carries it on, so that the logits show it.
        UnsafeMutableRawPointer(values).initializeMemory(as: UInt8.self, repeating: 0, count: groupSize)
        scale.pointee = amax < 1e-30 ? 0 : .nan
        sum.pointee = 0
        return
    }
    let inverse = 127 / amax
    scale.pointee = amax / 127
    let qa = integers(a * inverse), qb = integers(b * inverse)
    let qc = integers(c * inverse), qd = integers(d * inverse)
    storeBytes(qa, values)
    storeBytes(qb, values + 16)
    storeBytes(qc, values + 32)
    storeBytes(qd, values + 48)
    let s = (qa &+ qb) &+ (qc &+ qd)
    let s8 = s.lowHalf &+ s.highHalf
    let s4 = s8.lowHalf &+ s8.highHalf
    sum.pointee = ((s4[0] &+ s4[1]) &+ (s4[2] &+ s4[3])) &* 128
}

@inline(__always)
func magnitude(_ v: F16) -> F16 {
    unsafeBitCast(unsafeBitCast(v, to: I16.self) & 0x7FFF_FFFF, to: F16.self)
}

/// Rounded to integers, ties to even; magnitudes below 2^22.
@inline(__always)
func integers(_ v: F16) -> I16 {
    unsafeBitCast(v + roundingMagic, to: I16.self) &- 0x4B40_0000
}

func expandRow(
    _ row: UnsafePointer<Int8>, _ scale: Float, _ count: Int, _ out: UnsafeMutablePointer<Float>
) {
    var i = 0
    while i &+ 16 <= count {
        store(loadBytes(row + i) * scale, out + i)
        i &+= 16
    }
    while i < count {
        out[i] = Float(row[i]) * scale
        i &+= 1
    }
}

// MARK: Vectors

func add(_ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) {
    forEach16(x, count) { v, i in v + load(y + i) }
    for i in (count & ~15)..<count { x[i] += y[i] }
}

func multiply(_ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) {
    forEach16(x, count) { v, i in v * load(y + i) }
    for i in (count & ~15)..<count { x[i] *= y[i] }
}

/// - Parameter f: a function that is always inlined. A closure as large as an exponential is not, and a call's vectors go
///   through four registers of four lanes, in which all of it is then computed.
@inline(__always)
func activate(_ x: UnsafeMutablePointer<Float>, _ count: Int, _ f: (F16) -> F16) {
    forEach16(x, count) { v, _ in f(v) }
    let rest = count & 15
    if rest > 0 {
        let p = x + (count &- rest)
        storePart(f(loadPart(p, rest)), p, rest)
    }
}

func relu(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
    activate(x, count) { vmax($0, F16.zero) }
}

func silu(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
    @inline(__always) func silu(_ v: F16) -> F16 { v / (exponential(F16.zero - v) + 1) }
    activate(x, count, silu)
}

func sigmoid(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
    @inline(__always) func sigmoid(_ v: F16) -> F16 { 1 / (exponential(F16.zero - v) + 1) }
    activate(x, count, sigmoid)
}

func gelu(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
    @inline(__always) func gelu(_ v: F16) -> F16 {
        let u = (v + ((v * v) * v) * 0.044715) * 1.595_769_121_605_730_8
        return v / (exponential(F16.zero - u) + 1)
    }
    activate(x, count, gelu)
}

/// The exact form: q is half of erfc(|x| / √2), by Abramowitz and Stegun, 7.1.26.
func geluErf(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
    @inline(__always) func gelu(_ v: F16) -> F16 {
        let size = magnitude(v)
        let z = size * 0.707_106_781_186_547_52
        let t = 1 / (z * 0.327_591_1 + 1)
        var p = F16(repeating: 1.061_405_429)
        p = p * t - 1.453_152_027
        p = p * t + 1.421_413_741
        p = p * t - 0.284_496_736
        p = p * t + 0.254_829_592
        let q = ((p * t) * exponential(F16.zero - z * z)) * 0.5
        return vmax(v, F16.zero) - size * q
    }
    activate(x, count, gelu)
}

func fatRelu(_ x: UnsafeMutablePointer<Float>, _ count: Int, _ threshold: Float) {
    @inline(__always) func kept(_ v: F16) -> F16 { F16.zero.replacing(with: v, where: v .> threshold) }
    activate(x, count, kept)
}

/// tanh(u) = 1 - 2 / (exp(2u) + 1)
func softCap(_ x: UnsafeMutablePointer<Float>, _ count: Int, _ cap: Float) {
    @inline(__always) func capped(_ v: F16) -> F16 {
        let u = v / cap
        return (1 - 2 / (exponential(u + u) + 1)) * cap
    }
    activate(x, count, capped)
}

@inline(__always)
func largestLane(_ v: F16) -> Float {
    var result = -Float.infinity
    for l in 0..<16 { result = v[l] > result ? v[l] : result }
    return result
}

func largest(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    var most = F16(repeating: -.infinity)
    var i = 0
    while i &+ 16 <= count {
        most = vmax(load(x + i), most)
        i &+= 16
    }
    var result = largestLane(most)
    while i < count {
        result = x[i] > result ? x[i] : result
        i &+= 1
    }
    return result
}

// MARK: Norms

/// Lane sum of `f` over `count` elements.
@inline(__always)
func laneSum(_ x: UnsafePointer<Float>, _ count: Int, _ f: (F16) -> F16) -> Float {
    var acc = F16.zero
    var i = 0
    while i &+ 16 <= count {
        acc += f(load(x + i))
        i &+= 16
    }
    if i < count {
        // Lanes past the end count as +0, whatever `f` makes of zero.
        let v = f(loadPart(x + i, count &- i))
        var kept = F16.zero
        for l in 0..<(count &- i) { kept[l] = v[l] }
        acc += kept
    }
    return tree(acc)
}

func floatDots(
    _ rows: UnsafePointer<Float>, _ count: Int, _ x: UnsafePointer<Float>, _ width: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    for r in 0..<count {
        let row = rows + r &* width
        var acc = F16.zero
        var i = 0
        while i &+ 16 <= width {
            acc += load(x + i) * load(row + i)
            i &+= 16
        }
        if i < width { acc += loadPart(x + i, width &- i) * loadPart(row + i, width &- i) }
        out[r] = tree(acc)
    }
}

func rmsNorm(
    _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ epsilon: Float, _ count: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    let squares = laneSum(x, count) { $0 * $0 }
    let r = 1 / (squares / Float(count) + epsilon).squareRoot()
    var i = 0
    while i &+ 16 <= count {
        store((load(x + i) * r) * load(weight + i), out + i)
        i &+= 16
    }
    while i < count {
        out[i] = (x[i] * r) * weight[i]
        i &+= 1
    }
}

func layerNorm(
    _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ epsilon: Float, _ count: Int, _ out: UnsafeMutablePointer<Float>
) {
    let mean = laneSum(x, count) { $0 } / Float(count)
    let variance =
        laneSum(x, count) { v in
            let d = v - mean
            return d * d
        } / Float(count)
    let r = 1 / (variance + epsilon).squareRoot()
    var i = 0
    while i &+ 16 <= count {
        store(((load(x + i) - mean) * r) * load(weight + i) + load(bias + i), out + i)
        i &+= 16
    }
    while i < count {
        out[i] = ((x[i] - mean) * r) * weight[i] + bias[i]
        i &+= 1
    }
}

func rope(
    _ x: UnsafeMutablePointer<Float>, _ cosines: UnsafePointer<Float>, _ sines: UnsafePointer<Float>,
    _ pairs: Int
) {
    var i = 0
    while i &+ 16 <= pairs {
        let a = load(x + i), b = load(x + pairs + i), c = load(cosines + i), s = load(sines + i)
        store(a * c - b * s, x + i)
        store(a * s + b * c, x + pairs + i)
        i &+= 16
    }
    while i < pairs {
        let a = x[i], b = x[pairs &+ i], c = cosines[i], s = sines[i]
        x[i] = a * c - b * s
        x[pairs &+ i] = a * s + b * c
        i &+= 1
    }
}
