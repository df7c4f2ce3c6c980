// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
import KernelTable
import _Builtin_intrinsics.arm.neon

/// For each half group the tile has four times 128 bytes, eight inputs of sixteen rows, then d and m as floats.
let tileBlocks = 1

func packBlocks(_ w: FourBitRows, _ first: Int, _ count: Int, _ tile: UnsafeMutableRawPointer) {
    var record = w.blocks + (first &>> 4) &* w.blockBytes
    var to = tile
    for _ in 0..<2 &* w.groups {
        for k in 0..<4 {
            for r in 0..<4 {
                // Four rows: their first four inputs in the low nibbles, the other four in the high ones.
                let v = (record + (64 &+ 64 &* k &+ 16 &* r)).loadUnaligned(as: uint8x16_t.self)
                let low = unsafeBitCast(vandq_u8(v, uint8x16_t(repeating: 15)), to: int32x4_t.self)
                let high = unsafeBitCast(vshlq_u8(v, int8x16_t(repeating: -4)), to: int32x4_t.self)
                let pairs = to + (128 &* k &+ 32 &* r)
                pairs.storeBytes(of: vzip1q_s32(low, high), as: int32x4_t.self)
                (pairs + 16).storeBytes(of: vzip2q_s32(low, high), as: int32x4_t.self)
            }
        }
        for k in 0..<8 {
            let floats = vcvt_f32_f16((record + 8 &* k).loadUnaligned(as: float16x4_t.self))
            (to + (512 &+ 16 &* k)).storeBytes(of: floats, as: float32x4_t.self)
        }
        record += FourBitRows.recordBytes
        to += FourBitRows.tileRecordBytes
    }
}

func blockTileDots(
    _ tile: UnsafeRawPointer, _ w: FourBitRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ halves: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    withUnsafeTemporaryAllocation(of: EightTimesFour.self, capacity: 1) { partial in
        var t = 0
        while t < tokens {
            for half in 0..<(count > 8 ? 2 : 1) {
                let i = 8 &* half
                let sums = eightRows(tile, half, x, halves, fourTokens(from: t, of: tokens), partial.baseAddress!)
                let out = out + (t &* outStride &+ i), bias = w.bias.map { $0 + (first &+ i) }
                store(sums.0, nil, bias, count &- i, out)
                if t &+ 1 < tokens { store(sums.1, nil, bias, count &- i, out + outStride) }
                if t &+ 2 < tokens { store(sums.2, nil, bias, count &- i, out + 2 &* outStride) }
                if t &+ 3 < tokens { store(sums.3, nil, bias, count &- i, out + 3 &* outStride) }
            }
            t &+= 4
        }
    }
}

/// Eight rows of a tile, the first or the second, times four tokens.
@inline(never)
private func eightRows(
    _ tile: UnsafeRawPointer, _ half: Int, _ x: QuantizedRows, _ halves: UnsafePointer<Float>, _ tokens: FourTokens,
    _ partial: UnsafeMutablePointer<EightTimesFour>
) -> EightTimesFour {
    let n = x.groups
    @inline(__always) func values(_ t: Int) -> UnsafeRawPointer { UnsafeRawPointer(x.values + t &* n &* groupSize) }
    var va = values(tokens.0), vb = values(tokens.1), vc = values(tokens.2), vd = values(tokens.3)
    var w = tile + 64 &* half, floats = tile + (512 &+ 32 &* half)
    return addGroups(n, pointers(x.scales, n, tokens), pointers(halves, 2 &* n, tokens), partial) { _, inputs in
        let sums = pairSums(w, 2, va, vb, vc, vd)
        let (a, b) = tokenByToken(sums.0), (c, d) = tokenByToken(sums.1)
        let scales = loadEight(floats), minima = loadEight(floats + 64)
        w += FourBitRows.tileRecordBytes
        floats += FourBitRows.tileRecordBytes
        va += halfGroupSize
        vb += halfGroupSize
        vc += halfGroupSize
        vd += halfGroupSize
        return (
            scaled(a, scales, minima, inputs.0), scaled(b, scales, minima, inputs.1),
            scaled(c, scales, minima, inputs.2), scaled(d, scales, minima, inputs.3)
        )
    }
}

/// Two tokens' sums, from pairs of rows to eight rows of one token and of the other.
@inline(__always)
private func tokenByToken(_ sums: PairSums) -> (EightIntegers, EightIntegers) {
    @inline(__always) func zips(_ a: int32x4_t, _ b: int32x4_t) -> (int32x4_t, int32x4_t) {
        let a = unsafeBitCast(a, to: int64x2_t.self), b = unsafeBitCast(b, to: int64x2_t.self)
        return (
            unsafeBitCast(vzip1q_s64(a, b), to: int32x4_t.self), unsafeBitCast(vzip2q_s64(a, b), to: int32x4_t.self)
        )
    }
    let low = zips(sums.0, sums.1), high = zips(sums.2, sums.3)
    return ((low.0, high.0), (low.1, high.1))
}
#endif
