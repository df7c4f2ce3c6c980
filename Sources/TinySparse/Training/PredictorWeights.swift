import Quant
import SIMDKernels

/// A trained predictor in floats: score = B (A x) + bias.
struct PredictorWeights: Equatable {
    let rank: Int
    let width: Int
    let outputs: Int
    /// `[rank, width]`.
    var a: [Float]
    /// `[outputs, rank]`.
    var b: [Float]
    /// `[outputs]`.
    var bias: [Float]
}

/// A predictor as the file holds it and the runtime computes it.
final class QuantizedPredictor: @unchecked Sendable {
    let rank: Int
    let outputs: Int
    private let reduceWeights, expandWeights: AlignedBuffer<Int8>
    private let reduceScales, expandScales, bias: AlignedBuffer<Float>
    private let reduce, expand: Linear

    /// - Throws: `RuntimeError.outOfMemory`, or `badOption` if a weight is not finite.
    init(_ weights: PredictorWeights) throws(RuntimeError) {
        rank = weights.rank
        outputs = weights.outputs
        func quantized(
            _ values: [Float], _ rows: Int, _ columns: Int
        ) throws(RuntimeError) -> (AlignedBuffer<Int8>, AlignedBuffer<Float>, Matrix) {
            let stride = Matrix.stride(forColumns: columns)
            let bytes = try AlignedBuffer<Int8>(rows * stride)
            let scales = try AlignedBuffer<Float>(rows)
            let isFinite = values.withUnsafeBufferPointer { values in
                (0..<rows).allSatisfy { row in
                    let scale = quantizeRow(
                        values.baseAddress! + row * columns, count: columns, into: bytes.pointer + row * stride, stride: stride)
                    scales.pointer[row] = scale ?? 0
                    return scale != nil
                }
            }
            guard isFinite else { throw .badOption("the training of a predictor did not converge; train with another seed") }
            let matrix = Matrix(rows: rows, cols: columns, stride: stride, weights: bytes.pointer, scales: scales.pointer)
            return (bytes, scales, matrix)
        }
        let (aBytes, aScales, a) = try quantized(weights.a, rank, weights.width)
        let (bBytes, bScales, b) = try quantized(weights.b, outputs, rank)
        (reduceWeights, reduceScales, expandWeights, expandScales) = (aBytes, aScales, bBytes, bScales)
        bias = try AlignedBuffer(outputs)
        bias.pointer.update(from: weights.bias, count: outputs)
        reduce = Linear(a, bias: nil, isNeuronMajor: false)
        expand = Linear(b, bias: bias.pointer, isNeuronMajor: false)
    }

    /// The bytes of the tensors NAME_a.weight, _a.scale, _b.weight, _b.scale and _b.bias.
    var tensors: [(suffix: String, bytes: UnsafeRawBufferPointer)] {
        func raw<T>(_ buffer: AlignedBuffer<T>) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: buffer.pointer, count: buffer.count * MemoryLayout<T>.stride)
        }
        return [
            ("_a.weight", raw(reduceWeights)), ("_a.scale", raw(reduceScales)), ("_b.weight", raw(expandWeights)),
            ("_b.scale", raw(expandScales)), ("_b.bias", raw(bias)),
        ]
    }

    /// Bytes that a token's prediction reads.
    var bytes: Int { reduce.bytes + expand.bytes }

    /// The runtime's scores, bit by bit: `out[outputs]`.
    func scores(_ x: QuantizedRows, _ kernels: KernelTable, into out: UnsafeMutablePointer<Float>) {
        let groups = (rank + groupSize - 1) / groupSize
        withUnsafeTemporaryAllocation(of: Float.self, capacity: rank) { inner in
            withUnsafeTemporaryAllocation(byteCount: groups * (groupSize + 8), alignment: 64) { space in
                let values = space.baseAddress!.bindMemory(to: Int8.self, capacity: groups * groupSize)
                let scales = (space.baseAddress! + groups * groupSize).bindMemory(to: Float.self, capacity: groups)
                let sums = (space.baseAddress! + groups * (groupSize + 4)).bindMemory(to: Int32.self, capacity: groups)
                kernels.rowDots(reduce.int8, nil, 0, rank, x, inner.baseAddress!)
                kernels.quantize(inner.baseAddress!, rank, values, scales, sums)
                let reduced = QuantizedRows(values: values, scales: scales, sums: sums, groups: groups)
                kernels.rowDots(expand.int8, nil, 0, outputs, reduced, out)
            }
        }
    }
}
