// Compiled once in every instruction set's target, like Elementwise.swift: attention of one query
// head over cached keys and values in half precision (docs/NUMERICS.md, 8).

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
    var largest = -Float.infinity
    if width == 64 {
        let q0 = load(query), q1 = load(query + 16), q2 = load(query + 32), q3 = load(query + 48)
        for t in 0..<count {
            let k = keys + t &* 64
            let a = (F16.zero + q0 * loadHalves(k)) + q1 * loadHalves(k + 16)
            let s = tree((a + q2 * loadHalves(k + 32)) + q3 * loadHalves(k + 48)) * scale
            scores[t] = s
            largest = s > largest ? s : largest
        }
        return largest
    }
    for t in 0..<count {
        let k = keys + t &* width
        var acc = F16.zero
        var j = 0
        while j < width {
            acc += load(query + j) * loadHalves(k + j)
            j &+= 16
        }
        let s = tree(acc) * scale
        scores[t] = s
        largest = s > largest ? s : largest
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
