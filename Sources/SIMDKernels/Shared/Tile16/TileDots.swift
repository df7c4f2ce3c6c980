// SPDX-License-Identifier: Apache-2.0

// Compiled for sets with a tile of sixteen outputs, multiplied by four tokens at a time (AVX2 and SSE4.1). Each set
// defines `oneToken` and `fourTokens`, the sums of the sixteen outputs.

import KernelTable

func tileDots(
    _ tile: UnsafeRawPointer, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ tokens: Int, _ next: UnsafeRawPointer?, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    var t = 0
    while t < tokens {
        if tokens &- t >= 4 {
            let (a, b, c, d) = fourTokens(tile, x, t, t == 0 ? next : nil)
            finish(a, w, nil, first, count, out + t &* outStride)
            finish(b, w, nil, first, count, out + (t &+ 1) &* outStride)
            finish(c, w, nil, first, count, out + (t &+ 2) &* outStride)
            finish(d, w, nil, first, count, out + (t &+ 3) &* outStride)
            t &+= 4
        } else {
            finish(oneToken(tile, x, t), w, nil, first, count, out + t &* outStride)
            t &+= 1
        }
    }
}
