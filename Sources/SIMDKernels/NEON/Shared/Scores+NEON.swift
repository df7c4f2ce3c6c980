// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
// Attention's scores (docs/NUMERICS.md, 8): like those of ../../Shared/Common/Attention.swift, but four positions at a time
// instead of a block of sixteen. The sums of four rows on all levels of the tree then fit the registers.

import KernelTable
import _Builtin_intrinsics.arm.neon

func attentionScores(
    _ tile: QueryTile, _ keys: UnsafePointer<UInt16>, _ scale: Float, _ largest: UnsafeMutablePointer<Float>
) {
    let keys = UnsafeRawPointer(keys)
    switch tile.rows {
    case 1: halfScores(1, tile, keys, scale, largest)
    case 2: halfScores(2, tile, keys, scale, largest)
    case 3: halfScores(3, tile, keys, scale, largest)
    default: halfScores(4, tile, keys, scale, largest)
    }
}

@inline(__always)
private func halfScores(
    _ rows: Int, _ tile: QueryTile, _ keys: UnsafeRawPointer, _ scale: Float, _ largest: UnsafeMutablePointer<Float>
) {
    scores(rows, tile, largest) { at in
        vcvt_f32_f16((keys + 2 &* at).loadUnaligned(as: float16x4_t.self))
    } scaled: { sums, _ in
        vmulq_n_f32(sums, scale)
    }
}

func byteScores(
    _ tile: QueryTile, _ keys: UnsafePointer<Int8>, _ keyScales: UnsafePointer<Float>, _ scale: Float,
    _ largest: UnsafeMutablePointer<Float>
) {
    let keys = UnsafeRawPointer(keys)
    switch tile.rows {
    case 1: byteScores(1, tile, keys, keyScales, scale, largest)
    case 2: byteScores(2, tile, keys, keyScales, scale, largest)
    case 3: byteScores(3, tile, keys, keyScales, scale, largest)
    default: byteScores(4, tile, keys, keyScales, scale, largest)
    }
}

@inline(__always)
private func byteScores(
    _ rows: Int, _ tile: QueryTile, _ keys: UnsafeRawPointer, _ keyScales: UnsafePointer<Float>, _ scale: Float,
    _ largest: UnsafeMutablePointer<Float>
) {
    scores(rows, tile, largest) { at in
        let bytes = SIMD2<Int32>((keys + at).loadUnaligned(as: Int32.self), 0)
        return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(unsafeBitCast(bytes, to: int8x8_t.self)))))
    } scaled: { sums, t in
        vmulq_n_f32(vmulq_f32(sums, UnsafeRawPointer(keyScales + t).loadUnaligned(as: float32x4_t.self)), scale)
    }
}

/// A vector of each row; those that a tile has not cost nothing.
private typealias RowVectors = (float32x4_t, float32x4_t, float32x4_t, float32x4_t)

@inline(__always)
private func plus(_ rows: Int, _ a: RowVectors, _ b: RowVectors) -> RowVectors {
    (
        vaddq_f32(a.0, b.0), rows > 1 ? vaddq_f32(a.1, b.1) : a.1, rows > 2 ? vaddq_f32(a.2, b.2) : a.2,
        rows > 3 ? vaddq_f32(a.3, b.3) : a.3
    )
}

@inline(__always)
private func times(_ rows: Int, _ v: float32x4_t, _ x: (Float, Float, Float, Float)) -> RowVectors {
    (
        vmulq_n_f32(v, x.0), rows > 1 ? vmulq_n_f32(v, x.1) : v, rows > 2 ? vmulq_n_f32(v, x.2) : v,
        rows > 3 ? vmulq_n_f32(v, x.3) : v
    )
}

/// All scores of a tile. `key` loads four positions' numbers as floats, given the number of the first; `scaled` multiplies
/// the sums of the positions from the t-th on by what is stored of them.
@inline(__always)
private func scores(
    _ rows: Int, _ tile: QueryTile, _ largest: UnsafeMutablePointer<Float>, key: (Int) -> float32x4_t,
    scaled: (float32x4_t, Int) -> float32x4_t
) {
    guard tile.width == 64 else {
        return scores(rows, tile, largest, scaled: scaled) { at in
            treeSums(rows, at, 16 &* (tile.width &>> 4)) { at, l in
                @inline(__always) func queries(_ j: Int) -> (Float, Float, Float, Float) {
                    let q = tile.queries + j
                    return (
                        q[0], rows > 1 ? q[tile.stride] : 0, rows > 2 ? q[2 &* tile.stride] : 0,
                        rows > 3 ? q[3 &* tile.stride] : 0
                    )
                }
                var at = at, j = l
                var sums = times(rows, key(at), queries(j))
                while j &+ 16 < tile.width {
                    at &+= 16
                    j &+= 16
                    sums = plus(rows, sums, times(rows, key(at), queries(j)))
                }
                return sums
            }
        }
    }
    // The usual width: the four numbers of a query that a lane sums lie together.
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { ordered in
        let queries = ordered.baseAddress!
        for i in 0..<rows {
            for l in 0..<16 {
                for c in 0..<4 { queries[64 &* i &+ 4 &* l &+ c] = tile.queries[i &* tile.stride &+ l &+ 16 &* c] }
            }
        }
        scores(rows, tile, largest, scaled: scaled) { at in
            treeSums(rows, at, 64) { at, l in
                @inline(__always) func query(_ i: Int) -> float32x4_t {
                    UnsafeRawPointer(queries + (64 &* i &+ 4 &* l)).loadUnaligned(as: float32x4_t.self)
                }
                let a = query(0), b = rows > 1 ? query(1) : a, c = rows > 2 ? query(2) : a, d = rows > 3 ? query(3) : a
                @inline(__always) func products(_ k: Int) -> RowVectors {
                    times(rows, key(at &+ 16 &* k), (a[k], b[k], c[k], d[k]))
                }
                return plus(rows, plus(rows, plus(rows, products(0), products(1)), products(2)), products(3))
            }
        }
    }
}

/// The sums of four positions, whose first keys are at `at`, one lane of the contract after another: from a lane's keys to
/// the next lane's it is `lane`. `laneSums` is given where a lane's keys are, and the lane's number.
@inline(__always)
private func treeSums(_ rows: Int, _ at: Int, _ lane: Int, laneSums: (Int, Int) -> RowVectors) -> RowVectors {
    // Adding to -0 changes nothing, the sign of a zero included.
    let nothing = float32x4_t(repeating: -0.0)
    var all: RowVectors = (nothing, nothing, nothing, nothing)
    var at = at
    for a in 0..<2 {
        var half: RowVectors = (nothing, nothing, nothing, nothing)
        for b in 0..<2 {
            let l = a &+ 2 &* b
            let first = plus(rows, laneSums(at, l), laneSums(at &+ lane, l &+ 8))
            let second = plus(rows, laneSums(at &+ 2 &* lane, l &+ 4), laneSums(at &+ 3 &* lane, l &+ 12))
            half = plus(rows, half, plus(rows, first, second))
            at &+= 4 &* lane
        }
        all = plus(rows, all, half)
    }
    // A sum that starts from +0, as the contract's do, is never -0; these, which start from a product, may be.
    return plus(rows, all, (.zero, .zero, .zero, .zero))
}

/// Four positions after four; `sums` gives those whose first key is the one of that number.
@inline(__always)
private func scores(
    _ rows: Int, _ tile: QueryTile, _ largest: UnsafeMutablePointer<Float>,
    scaled: (float32x4_t, Int) -> float32x4_t, sums: (Int) -> RowVectors
) {
    let none = float32x4_t(repeating: -.infinity)
    var best: RowVectors = (none, none, none, none)
    let longest = tile.counts[rows &- 1]
    let whole = tile.counts[0] & ~3
    var t = 0
    while t < longest {
        let sums = sums((t & ~15) &* tile.width &+ (t & 15))
        let isWhole = t < whole
        @inline(__always) func end(_ i: Int, _ sum: float32x4_t, _ best: inout float32x4_t) {
            guard i < rows else { return }
            let score = scaled(sum, t)
            UnsafeMutableRawPointer(tile.scores + (i &* tile.stride &+ t)).storeBytes(of: score, as: float32x4_t.self)
            if isWhole { best = vbslq_f32(vcgtq_f32(score, best), score, best) }
        }
        end(0, sums.0, &best.0)
        end(1, sums.1, &best.1)
        end(2, sums.2, &best.2)
        end(3, sums.3, &best.3)
        t &+= 4
    }
    largest[0] = most(best.0, tile, 0, whole)
    if rows > 1 { largest[1] = most(best.1, tile, 1, whole) }
    if rows > 2 { largest[2] = most(best.2, tile, 2, whole) }
    if rows > 3 { largest[3] = most(best.3, tile, 3, whole) }
}

/// The largest of those found, and of a row's scores from the `first` on.
@inline(never)
private func most(_ best: float32x4_t, _ tile: QueryTile, _ i: Int, _ first: Int) -> Float {
    var most = best[0]
    for l in 1..<4 { most = best[l] > most ? best[l] : most }
    let scores = tile.scores + i &* tile.stride
    for t in first..<tile.counts[i] { most = scores[t] > most ? scores[t] : most }
    return most
}
#endif
