// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64) && KERNELS_AVX512
import KernelTable
import _Builtin_intrinsics.intel

/// A tile is two blocks, 32 outputs. For each group: eight times the four inputs of both half groups for
/// both blocks (a byte a weight, 256 bytes), then d and m as floats, half group by half group, block by block.
let tileBlocks = 2
let blockTileTokens = 8

private let tileGroupBytes = 2560

func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    let block = w.blocks + (first &>> 4) &* w.blockBytes
    for b in 0..<2 {
        // A missing second block is the first again.
        var record = count > 16 ? block + b &* w.blockBytes : block
        for h in 0..<2 &* w.groups {
            let group = tile + (h &>> 1) &* tileGroupBytes
            let to = group + ((h & 1) &* 128 &+ b &* 64)
            for k in 0..<4 {
                let bytes = load64(record + (64 &+ 64 &* k))
                (to + 512 &* k).storeBytes(of: low(bytes), as: Bytes64.self)
                (to + (512 &* k &+ 256)).storeBytes(of: high(bytes), as: Bytes64.self)
            }
            let scales = record.assumingMemoryBound(to: UInt16.self)
            let floats = group + (2048 &+ (h & 1) &* 256 &+ b &* 128)
            floats.storeBytes(of: loadHalves(scales), as: F16.self)
            (floats + 64).storeBytes(of: loadHalves(scales + 16), as: F16.self)
            record += FourBitRows.recordBytes
        }
    }
}

func blockTileDots(
    _ tile: UnsafeRawPointer, _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ halves: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var t = 0
    @inline(__always) func finish(_ y: (F16, F16), _ t: Int) {
        finishBlock(y.0, w, first, count, out + t &* outStride)
        if count > 16 { finishBlock(y.1, w, first &+ 16, count &- 16, out + t &* outStride + 16) }
    }
    while t < tokens {
        if tokens &- t >= 4 {
            let y = four(tile, x, halves, t)
            finish(y.0, t)
            finish(y.1, t &+ 1)
            finish(y.2, t &+ 2)
            finish(y.3, t &+ 3)
            t &+= 4
        } else {
            finish(one(tile, x, halves, t), t)
            t &+= 1
        }
    }
}

/// The products of a token with four inputs of both half groups, for two blocks.
private struct Products {
    var a0 = _mm512_setzero_si512(), b0 = _mm512_setzero_si512()
    var a1 = _mm512_setzero_si512(), b1 = _mm512_setzero_si512()

    @inline(__always)
    mutating func add(
        _ wa0: Bytes64, _ wb0: Bytes64, _ wa1: Bytes64, _ wb1: Bytes64, _ values: UnsafeRawPointer
    ) {
        let q0 = broadcast(values), q1 = broadcast(values + halfGroupSize)
        a0 = _mm512_dpbusd_epi32(a0, wa0, q0)
        b0 = _mm512_dpbusd_epi32(b0, wb0, q0)
        a1 = _mm512_dpbusd_epi32(a1, wa1, q1)
        b1 = _mm512_dpbusd_epi32(b1, wb1, q1)
    }

    /// Adds the finished group to a token's sums.
    @inline(__always)
    func close(_ y: inout (F16, F16), _ scales: UnsafeRawPointer, _ halves: UnsafePointer<Float>, _ scale: Float) {
        @inline(__always) func half(_ products: __m512i, _ at: Int, _ sum: Float) -> F16 {
            let d = (scales + at).loadUnaligned(as: F16.self), m = (scales + at + 64).loadUnaligned(as: F16.self)
            return _mm512_fmadd_ps(m, F16(repeating: sum), _mm512_cvtepi32_ps(products) * d)
        }
        y.0 += (half(a0, 0, halves[0]) + half(a1, 256, halves[1])) * scale
        y.1 += (half(b0, 128, halves[0]) + half(b1, 384, halves[1])) * scale
    }
}

@inline(__always)
private func one(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ t: Int
) -> (F16, F16) {
    var y = (F16.zero, F16.zero)
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* x.groups &* groupSize
    for g in t &* x.groups..<(t &+ 1) &* x.groups {
        var p = Products()
        eightTimes { i in
            let w = w + 256 &* i
            p.add(load64(w), load64(w + 64), load64(w + 128), load64(w + 192), v + 4 &* i)
        }
        p.close(&y, w + 2048, halves + 2 &* g, x.scales[g])
        w += tileGroupBytes
        v += groupSize
    }
    return y
}

/// Sixteen running sums, and each byte of the tile is read once for four tokens.
@inline(__always)
private func four(
    _ tile: UnsafeRawPointer, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ t: Int
) -> ((F16, F16), (F16, F16), (F16, F16), (F16, F16)) {
    var ya = (F16.zero, F16.zero), yb = ya, yc = ya, yd = ya
    let n = x.groups
    let width = n &* groupSize
    var w = tile
    var v = UnsafeRawPointer(x.values) + t &* width
    for g in 0..<n {
        var a = Products(), b = Products(), c = Products(), d = Products()
        eightTimes { i in
            let w = w + 256 &* i, v = v + 4 &* i
            let wa0 = load64(w), wb0 = load64(w + 64), wa1 = load64(w + 128), wb1 = load64(w + 192)
            a.add(wa0, wb0, wa1, wb1, v)
            b.add(wa0, wb0, wa1, wb1, v + width)
            c.add(wa0, wb0, wa1, wb1, v + 2 &* width)
            d.add(wa0, wb0, wa1, wb1, v + 3 &* width)
        }
        let at = t &* n &+ g, scales = w + 2048
        a.close(&ya, scales, halves + 2 &* at, x.scales[at])
        b.close(&yb, scales, halves + 2 &* (at &+ n), x.scales[at &+ n])
        c.close(&yc, scales, halves + 2 &* (at &+ 2 &* n), x.scales[at &+ 2 &* n])
        d.close(&yd, scales, halves + 2 &* (at &+ 3 &* n), x.scales[at &+ 3 &* n])
        w += tileGroupBytes
        v += groupSize
    }
    return (ya, yb, yc, yd)
}
#endif
