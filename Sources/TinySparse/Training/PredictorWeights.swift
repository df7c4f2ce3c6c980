// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels
import TinyRuntime

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

    var isFinite: Bool { [a, b, bias].allSatisfy { $0.allSatisfy { $0.isFinite } } }
}

/// A predictor as the file holds it and the runtime computes it.
final class QuantizedPredictor: @unchecked Sendable {
    let rank: Int
    let outputs: Int
    private let reduceWeights, expandWeights: AlignedBuffer<Int8>
    private let reduceScales, expandScales, bias: AlignedBuffer<Float>
    private let predictor: Predictor

    /// How B is stored.
    enum Layout {
        /// A row for each inner value: no padding for small ranks.
        case rankMajor
        /// A row for each output: for many outputs, which threads can share; the rank should be a multiple of 64.
        case rowMajor
    }

    /// - Throws: `RuntimeError.outOfMemory`, or `badOption` if a weight is not finite.
    init(_ weights: PredictorWeights, _ layout: Layout = .rankMajor) throws(RuntimeError) {
        func encoded(_ values: UnsafeBufferPointer<Float>, _ columns: Int) -> EncodedMatrix {
            EncodedMatrix(
                format: .f32, bytes: UnsafeRawPointer(values.baseAddress!), rows: values.count / columns, cols: columns)!
        }
        let isRankMajor = layout == .rankMajor
        let rank = weights.rank, width = weights.width, outputs = weights.outputs
        let aStride = Matrix.stride(forColumns: width),
            bStride = Matrix.stride(forColumns: isRankMajor ? outputs : rank)
        let bRows = isRankMajor ? rank : outputs
        let aWeights = try AlignedBuffer<Int8>(rank * aStride), aScales = try AlignedBuffer<Float>(rank)
        let bWeights = try AlignedBuffer<Int8>(bRows * bStride), bScales = try AlignedBuffer<Float>(outputs)
        let badA = weights.a.withUnsafeBufferPointer {
            quantize(
                encoded($0, width), sourceRow: { $0 }, weights: aWeights.pointer, stride: aStride,
                scales: aScales.pointer)
        }
        let badB = weights.b.withUnsafeBufferPointer {
            isRankMajor
                ? quantizeTransposed(
                    encoded($0, rank), weights: bWeights.pointer, stride: bStride, scales: bScales.pointer)
                : quantize(
                    encoded($0, rank), sourceRow: { $0 }, weights: bWeights.pointer, stride: bStride,
                    scales: bScales.pointer)
        }
        guard badA == nil, badB == nil else {
            throw .badOption("the training of a predictor did not converge; train with another seed")
        }
        let a = Matrix(rows: rank, cols: width, stride: aStride, weights: aWeights.pointer, scales: aScales.pointer)
        let b = Matrix(
            rows: bRows, cols: isRankMajor ? outputs : rank, stride: bStride, weights: bWeights.pointer,
            scales: bScales.pointer)
        self.rank = rank
        self.outputs = outputs
        (reduceWeights, reduceScales, expandWeights, expandScales) = (aWeights, aScales, bWeights, bScales)
        bias = try AlignedBuffer(outputs)
        bias.pointer.update(from: weights.bias, count: outputs)
        predictor = Predictor(
            reduce: Linear(a, bias: nil, isNeuronMajor: false),
            expand: Linear(b, bias: bias.pointer, isNeuronMajor: isRankMajor), threshold: 0)
    }

    /// What a file holds of the first matrix (weights, scales), of the second, and of its bias.
    var reduceTensors: [UnsafeRawBufferPointer] { [raw(reduceWeights), raw(reduceScales)] }
    var expandTensors: [UnsafeRawBufferPointer] { [raw(expandWeights), raw(expandScales)] }
    var biasTensor: UnsafeRawBufferPointer { raw(bias) }

    /// Bytes that a token's prediction reads.
    var bytes: Int { predictor.bytes }

    /// The runtime's scores, bit by bit: `out[outputs]`.
    func scores(_ x: QuantizedRows, _ kernels: KernelTable, into out: UnsafeMutablePointer<Float>) {
        withUnsafeTemporaryAllocation(byteCount: predictor.scratchSize, alignment: 64) {
            predictor.scores(x, kernels, $0.baseAddress!, into: out)
        }
    }
}

/// What chooses the neurons of a layer.
enum NeuronChooser {
    case predictor(QuantizedPredictor)
    /// The layer's gates, with the rule's `gain`.
    case gate(AlignedBuffer<Float>)

    var isGate: Bool {
        if case .gate = self { true } else { false }
    }

    /// 0 for a gate.
    var rank: Int {
        if case .predictor(let predictor) = self { predictor.rank } else { 0 }
    }

    /// Bytes that a token's choice reads and dense layers do not.
    var bytes: Int {
        switch self {
        case .predictor(let predictor): predictor.bytes
        case .gate(let gain): 4 * gain.count
        }
    }
}

func raw<T>(_ buffer: AlignedBuffer<T>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: buffer.pointer, count: buffer.count * MemoryLayout<T>.stride)
}
