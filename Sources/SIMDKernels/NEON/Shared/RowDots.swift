#if arch(arm64) && KERNELS_ARM
import KernelTable
import _Builtin_intrinsics.arm.neon

/// Rows from the one being read to the one that is asked for. (Chosen like the other sets': not measured on ARM.)
private let ahead = 8

/// Four rows at a time: their activations are loaded once, and the four sums of a group meet in one
/// register, a lane a row.
func rowDots(
    _ w: WeightRows, _ list: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows,
    _ out: UnsafeMutablePointer<Float>
) {
    let isAhead = w.isAskedAhead(list)
    var i = 0
    while i < count {
        @inline(__always) func row(_ k: Int) -> UnsafeRawPointer { w.row(list, first, count, i &+ k) }
        @inline(__always) func next(_ k: Int) -> UnsafeRawPointer { w.rowAhead(list, first, count, i &+ k &+ ahead) }
        let r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3)
        let p0 = next(0), p1 = next(1), p2 = next(2), p3 = next(3)
        var total = SIMD4<Float>.zero
        for g in 0..<x.groups {
            let at = g &* groupSize
            if isAhead {
                prefetch(p0 + at)
                prefetch(p1 + at)
                prefetch(p2 + at)
                prefetch(p3 + at)
            }
            let v = UnsafeRawPointer(x.values) + at
            let xa = load16(v), xb = load16(v + 16), xc = load16(v + 32), xd = load16(v + 48)
            @inline(__always) func product(_ row: UnsafeRawPointer) -> int32x4_t {
                let low = accumulate(accumulate(.zero, load16(row + at), xa), load16(row + at + 16), xb)
                return accumulate(accumulate(low, load16(row + at + 32), xc), load16(row + at + 48), xd)
            }
            let sums = vpaddq_s32(
                vpaddq_s32(product(r0), product(r1)), vpaddq_s32(product(r2), product(r3)))
            total += vcvtq_f32_s32(sums) * x.scales[g]
        }
        for k in 0..<Swift.min(4, count &- i) {
            let r = list.map { Int($0[i &+ k]) } ?? first &+ i &+ k
            let y = total[k] * w.scales[r]
            out[i &+ k] = w.bias.map { y + $0[r] } ?? y
        }
        i &+= 4
    }
}
#endif
