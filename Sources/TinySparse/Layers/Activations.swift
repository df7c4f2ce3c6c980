import SIMDKernels

/// Quantized activations of up to `capacity` tokens: the input of a `Linear`.
final class Activations {
    let groups: Int
    private let values: AlignedBuffer<Int8>
    private let scales: AlignedBuffer<Float>
    private let sums: AlignedBuffer<Int32>

    init(width: Int, capacity: Int) throws(RuntimeError) {
        groups = (width + groupSize - 1) / groupSize
        values = try AlignedBuffer(capacity * groups * groupSize)
        scales = try AlignedBuffer(capacity * groups)
        sums = try AlignedBuffer(capacity * groups)
    }

    /// Quantizes `x` as row `token`.
    func set(_ token: Int, _ x: UnsafePointer<Float>, _ count: Int, _ kernels: KernelTable) {
        kernels.quantize(
            x, count, values.pointer + token * groups * groupSize, scales.pointer + token * groups,
            sums.pointer + token * groups)
    }

    /// The rows from `token` on.
    func rows(from token: Int = 0) -> QuantizedRows {
        QuantizedRows(
            values: values.pointer + token * groups * groupSize, scales: scales.pointer + token * groups,
            sums: sums.pointer + token * groups, groups: groups)
    }
}
