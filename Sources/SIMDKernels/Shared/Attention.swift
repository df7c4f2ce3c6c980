// Compiled once in every instruction set's target, like Elementwise.swift: attention of one query
// head over cached keys and values in half precision, or in bytes (docs/NUMERICS.md, 8).

func toHalf(_ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<UInt16>) {
    for i in 0..<count {
        let low: Float = x[i] > -65504 ? x[i] : -65504
        let v: Float = low < 65504 ? low : 65504
        out[i] = halfBits(v)
    }
}

/// A finite half's bits, rounded to nearest even.
@inline(__always)
func halfBits(_ v: Float) -> UInt16 {
    let bits = v.bitPattern
    let sign = UInt16(truncatingIfNeeded: (bits &>> 16) & 0x8000)
    let size = bits & 0x7FFF_FFFF
    if size < 0x3880_0000 {
        // Below the normal halves: adding 0.5 leaves the subnormal's digits, rounded, in the low bits.
        let shifted = Float(bitPattern: size) + 0.5
        return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3F00_0000)
    }
    let rounded = size &+ 0xFFF &+ ((size &>> 13) & 1)
    return sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) &>> 13)
}

func attentionScores(
    _ query: UnsafePointer<Float>, _ keys: UnsafePointer<UInt16>, _ width: Int, _ count: Int,
    _ scale: Float, _ scores: UnsafeMutablePointer<Float>
) -> Float {
    switch width {
    case 32: scoreRows(query, keys, 32, count, scale, scores)
    case 64: scoreRows(query, keys, 64, count, scale, scores)
    default: scoreRows(query, keys, width, count, scale, scores)
    }
}

/// Four positions at a time, so that their lanes meet together. Inlined for each usual width.
@inline(__always)
private func scoreRows(
    _ query: UnsafePointer<Float>, _ keys: UnsafePointer<UInt16>, _ width: Int, _ count: Int,
    _ scale: Float, _ scores: UnsafeMutablePointer<Float>
) -> Float {
    @inline(__always) func lanes(_ t: Int) -> F16 {
        let k = keys + t &* width
        var acc = F16.zero
        var j = 0
        while j < width {
            acc += load(query + j) * loadHalves(k + j)
            j &+= 16
        }
        return acc
    }
    var largest4 = SIMD4<Float>(repeating: -.infinity)
    var t = 0
    while t &+ 4 <= count {
        let s = trees(lanes(t), lanes(t &+ 1), lanes(t &+ 2), lanes(t &+ 3)) * scale
        UnsafeMutableRawPointer(scores + t).storeBytes(of: s, as: SIMD4<Float>.self)
        largest4.replace(with: s, where: s .> largest4)
        t &+= 4
    }
    var largest = Swift.max(Swift.max(largest4[0], largest4[1]), Swift.max(largest4[2], largest4[3]))
    while t < count {
        let s = tree(lanes(t)) * scale
        scores[t] = s
        largest = s > largest ? s : largest
        t &+= 1
    }
    return largest
}

func softmaxWeights(_ scores: UnsafeMutablePointer<Float>, _ count: Int, _ largest: Float) -> Float {
    var acc = F16.zero
    var i = 0
    while i &+ 16 <= count {
        let e = exponential(load(scores + i) - largest)
        store(e, scores + i)
        acc += e
        i &+= 16
    }
    if i < count {
        let e = exponential(loadPart(scores + i, count &- i) - largest)
        var kept = F16.zero
        for l in 0..<(count &- i) { kept[l] = e[l] }
        storePart(kept, scores + i, count &- i)
        acc += kept
    }
    return tree(acc)
}

func weightedValues(
    _ weights: UnsafePointer<Float>, _ values: UnsafePointer<UInt16>, _ width: Int, _ count: Int,
    _ total: Float, _ out: UnsafeMutablePointer<Float>
) {
    var j = 0
    if width == 32 {
        var a = F16.zero, b = F16.zero
        for t in 0..<count {
            let v = values + t &* 32
            a += loadHalves(v) * weights[t]
            b += loadHalves(v + 16) * weights[t]
        }
        store(a / total, out)
        store(b / total, out + 16)
        return
    }
    while j &+ 64 <= width {
        var a = F16.zero, b = F16.zero, c = F16.zero, d = F16.zero
        for t in 0..<count {
            let w = weights[t]
            let v = values + (t &* width &+ j)
            a += loadHalves(v) * w
            b += loadHalves(v + 16) * w
            c += loadHalves(v + 32) * w
            d += loadHalves(v + 48) * w
        }
        store(a / total, out + j)
        store(b / total, out + j + 16)
        store(c / total, out + j + 32)
        store(d / total, out + j + 48)
        j &+= 64
    }
    while j < width {
        var a = F16.zero
        for t in 0..<count { a += loadHalves(values + (t &* width &+ j)) * weights[t] }
        store(a / total, out + j)
        j &+= 16
    }
}

// MARK: Keys and values in bytes

func toBytes(_ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Int8>) -> Float {
    var largest: Float = 0
    for i in 0..<count { largest = x[i].magnitude > largest ? x[i].magnitude : largest }
    guard largest >= 1e-30, largest < .infinity else {
        // Not finite: the scale carries it on, so that the logits show it.
        for i in 0..<count { out[i] = 0 }
        return largest < 1e-30 ? 0 : .nan
    }
    let inverse = 127 / largest
    for i in 0..<count {
        out[i] = Int8(truncatingIfNeeded: Int32(bitPattern: (x[i] * inverse + roundingMagic).bitPattern) &- 0x4B40_0000)
    }
    return largest / 127
}

func byteScores(
    _ query: UnsafePointer<Float>, _ keys: UnsafePointer<Int8>, _ keyScales: UnsafePointer<Float>, _ width: Int,
    _ count: Int, _ scale: Float, _ scores: UnsafeMutablePointer<Float>
) -> Float {
    var largest = -Float.infinity
    for t in 0..<count {
        let k = keys + t &* width
        var acc = F16.zero
        var j = 0
        while j < width {
            acc += load(query + j) * loadBytes(k + j)
            j &+= 16
        }
        let s = (tree(acc) * keyScales[t]) * scale
        scores[t] = s
        largest = s > largest ? s : largest
    }
    return largest
}

func byteValues(
    _ weights: UnsafePointer<Float>, _ values: UnsafePointer<Int8>, _ valueScales: UnsafePointer<Float>,
    _ width: Int, _ count: Int, _ total: Float, _ out: UnsafeMutablePointer<Float>
) {
    var j = 0
    while j &+ 32 <= width {
        var a = F16.zero, b = F16.zero
        for t in 0..<count {
            let w = weights[t] * valueScales[t]
            let v = values + (t &* width &+ j)
            a += loadBytes(v) * w
            b += loadBytes(v + 16) * w
        }
        store(a / total, out + j)
        store(b / total, out + j + 16)
        j &+= 32
    }
    if j < width {
        var a = F16.zero
        for t in 0..<count { a += loadBytes(values + (t &* width &+ j)) * (weights[t] * valueScales[t]) }
        store(a / total, out + j)
    }
}
