#if arch(x86_64) && KERNELS_AVX2
import KernelTable
import _Builtin_intrinsics.intel

/// A tile is one block with a byte a weight: for each half group eight times 64 bytes, the four inputs of
/// sixteen rows, then d and m as floats.
let tileBlocks = 1

/// What a half group of sixteen rows adds, without the activations' scale.
@inline(__always)
func halfGroup(_ record: UnsafeRawPointer, _ values: UnsafeRawPointer, _ sum: Float) -> F16 {
    var p = Products()
    for k in 0..<4 {
        let a = load32(record + (64 &+ 64 &* k)), b = load32(record + (96 &+ 64 &* k))
        p.add(low(a), low(b), broadcast(values + 8 &* k))
        p.add(high(a), high(b), broadcast(values + (8 &* k &+ 4)))
    }
    let scales = record.assumingMemoryBound(to: UInt16.self)
    return p.scaled(loadHalves(scales), loadHalves(scales + 16), sum)
}

@inline(__always)
private func broadcast(_ p: UnsafeRawPointer) -> __m256i {
    _mm256_set1_epi32(p.loadUnaligned(as: Int32.self))
}

/// The low nibbles, a byte each.
@inline(__always)
private func low(_ v: Bytes32) -> Bytes32 { _mm256_and_si256(v, _mm256_set1_epi8(15)) }

@inline(__always)
private func high(_ v: Bytes32) -> Bytes32 { low(_mm256_srli_epi16(v, 4)) }

/// The products of a half group with sixteen rows. Pairs of them stay in 16 bits to the end: eight times
/// 2 * 15 * 127 is below 2^15.
private struct Products {
    private var a = _mm256_setzero_si256(), b = _mm256_setzero_si256()

    @inline(__always)
    mutating func add(_ wa: Bytes32, _ wb: Bytes32, _ q: __m256i) {
        a = _mm256_add_epi16(a, _mm256_maddubs_epi16(wa, q))
        b = _mm256_add_epi16(b, _mm256_maddubs_epi16(wb, q))
    }

    /// The product of the sum and m is exact, so that to fuse it with the addition changes nothing.
    @inline(__always)
    func scaled(_ d: F16, _ m: F16, _ sum: Float) -> F16 {
        @inline(__always) func part(_ v: __m256i, _ d: SIMD8<Float>, _ m: SIMD8<Float>) -> SIMD8<Float> {
            let products = _mm256_cvtepi32_ps(_mm256_madd_epi16(v, _mm256_set1_epi16(1))) * d
            return _mm256_fmadd_ps(m, SIMD8(repeating: sum), products)
        }
        return F16(lowHalf: part(a, d.lowHalf, m.lowHalf), highHalf: part(b, d.highHalf, m.highHalf))
    }
}

// MARK: Tiles

func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    var record = w.blocks + (first &>> 4) &* w.blockBytes
    var to = tile
    for _ in 0..<2 &* w.groups {
        for k in 0..<4 {
            for side in 0..<2 {
                let bytes = load32(record + (64 &+ 64 &* k &+ 32 &* side))
                (to + (128 &* k &+ 32 &* side)).storeBytes(of: low(bytes), as: Bytes32.self)
                (to + (128 &* k &+ 64 &+ 32 &* side)).storeBytes(of: high(bytes), as: Bytes32.self)
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
            let w0 = load32(w), w1 = load32(w + 32)
            a.add(w0, w1, broadcast(va))
            b.add(w0, w1, broadcast(vb))
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
