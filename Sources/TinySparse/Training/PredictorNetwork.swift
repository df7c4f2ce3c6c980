// SPDX-License-Identifier: Apache-2.0

import TinyRuntime

/// A predictor being trained: parameters, their gradients and moments, and the activations of a batch.
final class Network {
    /// Scores of the batch: `[batch, outputs]`.
    let scores: FloatMatrix
    private let rank, width, outputs: Int
    /// A transposed `[width, rank]`, B transposed `[rank, outputs]`, the bias `[1, outputs]`.
    private let a, b, bias: Parameter
    /// B as it is, for the way back.
    private let plainB: FloatMatrix
    private let x, inner, innerGradient: FloatMatrix

    init(_ start: PredictorWeights, batch: Int) throws(RuntimeError) {
        (rank, width, outputs) = (start.rank, start.width, start.outputs)
        a = try Parameter(width, rank)
        b = try Parameter(rank, outputs)
        bias = try Parameter(1, outputs)
        plainB = try FloatMatrix(outputs, rank)
        x = try FloatMatrix(batch, width)
        inner = try FloatMatrix(batch, rank)
        innerGradient = try FloatMatrix(batch, rank)
        scores = try FloatMatrix(batch, outputs)
        for r in 0..<rank {
            for k in 0..<width { a.value[k][r] = start.a[r * width + k] }
            for i in 0..<outputs { b.value[r][i] = start.b[i * rank + r] }
        }
        for i in 0..<outputs { bias.value[0][i] = start.bias[i] }
    }

    var weights: PredictorWeights {
        var w = PredictorWeights(
            rank: rank, width: width, outputs: outputs, a: [Float](repeating: 0, count: rank * width),
            b: [Float](repeating: 0, count: outputs * rank), bias: [Float](repeating: 0, count: outputs))
        for r in 0..<rank {
            for k in 0..<width { w.a[r * width + k] = a.value[k][r] }
            for i in 0..<outputs { w.b[i * rank + r] = b.value[r][i] }
        }
        for i in 0..<outputs { w.bias[i] = bias.value[0][i] }
        return w
    }

    /// Scores of some tokens.
    func forward(_ data: PredictorData, _ tokens: ArraySlice<Int>) {
        for (i, t) in tokens.enumerated() { data.inputs.expand(t, into: x[i]) }
        product(tokens.count, x, a.value, into: inner)
        product(tokens.count, inner, b.value, into: scores)
        for i in 0..<tokens.count {
            let row = scores[i]
            for j in 0..<outputs { row[j] += bias.value[0][j] }
        }
    }

    /// Gradients of the mean loss over these tokens, whose scores are there; they take the scores' place.
    func backward(_ data: PredictorData, _ tokens: ArraySlice<Int>, _ importance: [Float]) {
        let scale = 1 / Float(tokens.count)
        bias.gradient.clear()
        for (i, t) in tokens.enumerated() {
            slopes(scores[i], data, t, importance, scale)
            let row = scores[i], sum = bias.gradient[0]
            for j in 0..<outputs { sum[j] += row[j] }
        }
        for r in 0..<rank {
            for j in 0..<outputs { plainB[j][r] = b.value[r][j] }
        }
        product(tokens.count, scores, plainB, into: innerGradient)
        transposedProduct(tokens.count, inner, scores, into: b.gradient)
        transposedProduct(tokens.count, x, innerGradient, into: a.gradient)
    }

    func update(rate: Float, decay: Float, step: Int) {
        a.update(rate: rate, decay: decay, step: step)
        b.update(rate: rate, decay: decay, step: step)
        bias.update(rate: rate, decay: 0, step: step)
    }

    /// Turns scores into slopes of the loss: sigmoid(score), and for a yes weight * (sigmoid(score) - 1) besides.
    private func slopes(
        _ row: UnsafeMutablePointer<Float>, _ data: PredictorData, _ t: Int, _ importance: [Float], _ scale: Float
    ) {
        for j in stride(from: 0, to: outputs, by: 16) {
            let raw = UnsafeMutableRawPointer(row + j)
            raw.storeBytes(
                of: MatrixMath.sigmoid(raw.loadUnaligned(as: MatrixMath.Lanes.self)) * scale, as: MatrixMath.Lanes.self)
        }
        let levels = data.levels.pointer + t * outputs, bound = data.bounds[t]
        importance.withUnsafeBufferPointer { importance in
            if data.learnsEnergy {
                for j in 0..<outputs {
                    let energy = min(importance[Int(levels[j])] * data.gain[j], Self.mostEnergy)
                    row[j] += (row[j] - scale) * energy
                }
            } else {
                for j in 0..<outputs where levels[j] >= bound {
                    row[j] += (row[j] - scale) * importance[Int(levels[j])]
                }
            }
        }
        for j in outputs..<scores.padded { row[j] = 0 }
    }

    /// Outliers beyond this many times the mean teach nothing more.
    static let mostEnergy: Float = 30

    private func product(_ rows: Int, _ x: FloatMatrix, _ m: FloatMatrix, into out: FloatMatrix) {
        MatrixMath.multiply(
            rows: rows, columns: m.padded, depth: m.rows, x.pointer, rowStep: x.stride, stepK: 1,
            m.pointer, stride: m.stride, into: out.pointer, outStride: out.stride)
    }

    /// `out = x^T m` over the tokens of the batch.
    private func transposedProduct(_ tokens: Int, _ x: FloatMatrix, _ m: FloatMatrix, into out: FloatMatrix) {
        MatrixMath.multiply(
            rows: out.rows, columns: m.padded, depth: tokens, x.pointer, rowStep: 1, stepK: x.stride,
            m.pointer, stride: m.stride, into: out.pointer, outStride: out.stride)
    }
}

/// A matrix that AdamW moves.
private final class Parameter {
    let value, gradient: FloatMatrix
    private let first, second: FloatMatrix

    init(_ rows: Int, _ columns: Int) throws(RuntimeError) {
        value = try FloatMatrix(rows, columns)
        gradient = try FloatMatrix(rows, columns)
        first = try FloatMatrix(rows, columns)
        second = try FloatMatrix(rows, columns)
    }

    /// Betas 0.9 and 0.99: training is short.
    func update(rate: Float, decay: Float, step: Int) {
        func power(_ base: Double) -> Float { step > 2000 ? 0 : Float(Double64.exp(Double(step) * Double64.ln(base))) }
        let scale1 = 1 / (1 - power(0.9)), scale2 = 1 / (1 - power(0.99))
        let count = value.rows * value.stride
        let (w, g, m, v) = (value.pointer, gradient.pointer, first.pointer, second.pointer)
        for i in 0..<count {
            m[i] = 0.9 * m[i] + 0.1 * g[i]
            v[i] = 0.99 * v[i] + 0.01 * (g[i] * g[i])
            let change = (m[i] * scale1) / ((v[i] * scale2).squareRoot() + 1e-8)
            w[i] -= rate * (change + decay * w[i])
        }
    }
}
