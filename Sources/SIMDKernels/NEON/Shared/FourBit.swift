#if arch(arm64) && KERNELS_ARM
import KernelTable
import _Builtin_intrinsics.arm.neon

/// A tile is one block with a byte a weight: for each half group eight times 64 bytes, the four inputs of
/// sixteen rows, then d and m as floats.
let tileBlocks = 1

/// What a half group of sixteen rows adds, without the activations' scale.
@inline(__always)
func halfGroup(_ record: UnsafeRawPointer, _ values: UnsafeRawPointer, _ sum: Float) -> F16 {
    var p = Products()
    for k in 0..<4 {
        let bytes = record + (64 &+ 64 &* k)
        let a = load16(bytes), b = load16(bytes + 16), c = load16(bytes + 32), d = load16(bytes + 48)
        p.add(low(a), low(b), low(c), low(d), four(values + 8 &* k))
        p.add(high(a), high(b), high(c), high(d), four(values + (8 &* k &+ 4)))
    }
    let scales = record.assumingMemoryBound(to: UInt16.self)
    return p.scaled(loadHalves(scales), loadHalves(scales + 16), sum)
}

/// Four activations for each of four outputs.
@inline(__always)
private func four(_ p: UnsafeRawPointer) -> int8x16_t {
    unsafeBitCast(int32x4_t(repeating: p.loadUnaligned(as: Int32.self)), to: int8x16_t.self)
}

@inline(__always)
private func low(_ v: int8x16_t) -> int8x16_t { v & 15 }

@inline(__always)
private func high(_ v: int8x16_t) -> int8x16_t {
    unsafeBitCast(unsafeBitCast(v, to: uint8x16_t.self) &>> 4, to: int8x16_t.self)
}

/// The products of a half group with sixteen rows.
private struct Products {
    private var a = QuadSums(), b = QuadSums(), c = QuadSums(), d = QuadSums()

    @inline(__always)
    mutating func add(_ wa: int8x16_t, _ wb: int8x16_t, _ wc: int8x16_t, _ wd: int8x16_t, _ q: int8x16_t) {
        a.add(wa, q)
        b.add(wb, q)
        c.add(wc, q)
        d.add(wd, q)
    }

    @inline(__always)
    func scaled(_ scale: F16, _ offset: F16, _ sum: Float) -> F16 {
        floats(a.total, b.total, c.total, d.total) * scale + offset * sum
    }
}

// MARK: Tiles

func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    var record = w.blocks + (first &>> 4) &* w.blockBytes
    var to = tile
    for _ in 0..<2 &* w.groups {
        for k in 0..<4 {
            for j in 0..<4 {
                let bytes = load16(record + (64 &+ 64 &* k &+ 16 &* j))
                let place = to + (128 &* k &+ 16 &* j)
                place.storeBytes(of: low(bytes), as: int8x16_t.self)
                (place + 64).storeBytes(of: high(bytes), as: int8x16_t.self)
            }
        }
        let scales = record.assumingMemoryBound(to: UInt16.self)
        (to + 512).storeBytes(of: loadHalves(scales), as: F16.self)
        (to + 576).storeBytes(of: loadHalves(scales + 16), as: F16.self)
        record += FourBitRows.recordBytes
        to += FourBitRows.tileRecordBytes
    }
}

func blockTileDots(
    _ tile: UnsafeRawPointer, _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ halves: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var t = 0
    while t < tokens {
        // A last odd token is computed twice over.
        let other = Swift.min(t &+ 1, tokens &- 1)
        let (a, b) = two(tile, x, halves, t, other)
        finishBlock(a, w, first, count, out + t &* outStride)
        if other > t { finishBlock(b, w, first, count, out + other &* outStride) }
        t &+= 2
    }
}

@inline(__always)
private func two(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ t: Int, _ u: Int
) -> (F16, F16) {
    var ya = F16.zero, yb = F16.zero
    let n = x.groups
    var w = tile
    var va = UnsafeRawPointer(x.values) + t &* n &* groupSize
    var vb = UnsafeRawPointer(x.values) + u &* n &* groupSize
    @inline(__always) func halfGroup(_ sa: Float, _ sb: Float) -> (F16, F16) {
        var a = Products(), b = Products()
        for _ in 0..<8 {
            let w0 = load16(w), w1 = load16(w + 16), w2 = load16(w + 32), w3 = load16(w + 48)
            a.add(w0, w1, w2, w3, four(va))
            b.add(w0, w1, w2, w3, four(vb))
            w += 64
            va += 4
            vb += 4
        }
        let d = w.loadUnaligned(as: F16.self), m = (w + 64).loadUnaligned(as: F16.self)
        w += 128
        return (a.scaled(d, m, sa), b.scaled(d, m, sb))
    }
    let ha = halves + 2 &* t &* n, hb = halves + 2 &* u &* n
    for g in 0..<n {
        let (a0, b0) = halfGroup(ha[2 &* g], hb[2 &* g])
        let (a1, b1) = halfGroup(ha[2 &* g &+ 1], hb[2 &* g &+ 1])
        ya += (a0 + a1) * x.scales[t &* n &+ g]
        yb += (b0 + b1) * x.scales[u &* n &+ g]
    }
    return (ya, yb)
}
#endif
