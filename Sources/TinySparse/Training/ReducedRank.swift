// SPDX-License-Identifier: Apache-2.0

import TinyRuntime

/// The best linear predictor of a given rank, in closed form: where training starts.
///
/// Reduced rank regression (Izenman, 1975) of the labels on the inputs. With C = L L^T the covariance of the
/// inputs and S the cross-covariance of labels and inputs, K = S L^-T regresses on white inputs L^-1 x. Its rows
/// are weighted by the inverse deviation of their label, as the logistic loss does near its start; V, the
/// leading right singular vectors, found by subspace iteration, make A = V^T L^-1 and B = K V.
///
/// Cost: tokens * d * (d + n) + n * d^2 operations.
struct ReducedRank {
    private let data: PredictorData
    private let rank: Int
    private let width: Int
    /// Tokens used at most; more change nothing.
    static let limit = 8192
    private static let batch = 256

    init(_ data: PredictorData, rank: Int) {
        self.data = data
        self.rank = rank
        width = data.inputs.width
    }

    /// - Parameter positiveWeight: of the loss to come, which moves every bias.
    func solve(positiveWeight: Float, seed: UInt64) throws(RuntimeError) -> PredictorWeights {
        let n = data.outputs
        let covariance = try FloatMatrix(width, width), cross = try FloatMatrix(n, width)
        let (mean, rates, ridge) = try moments(covariance, cross)

        MatrixMath.cholesky(covariance.pointer, width, stride: covariance.stride, ridge: ridge)
        var slope = [Float](repeating: 0, count: n)
        for i in 0..<n {
            // How fast the score, ln of a rate or of odds, grows with the rate.
            slope[i] = data.learnsEnergy ? 1 / max(rates[i], 0.05) : 1 / max(rates[i] * (1 - rates[i]), 0.01)
            MatrixMath.solveLower(covariance.pointer, width, stride: covariance.stride, cross[i])
        }
        let directions = try leadingDirections(cross, slope, seed)

        var weights = PredictorWeights(
            rank: rank, width: width, outputs: n, a: [Float](repeating: 0, count: rank * width),
            b: [Float](repeating: 0, count: n * rank), bias: [Float](repeating: 0, count: n))
        for i in 0..<n {
            for r in 0..<rank {
                weights.b[i * rank + r] = slope[i] * MatrixMath.dot(cross[i], directions[r], width)
            }
        }
        var shifts = [Float](repeating: 0, count: rank)
        for r in 0..<rank {
            let row = directions[r]
            MatrixMath.solveUpper(covariance.pointer, width, stride: covariance.stride, row)
            for k in 0..<width { weights.a[r * width + k] = row[k] }
            shifts[r] = mean.withUnsafeBufferPointer { MatrixMath.dot(row, $0.baseAddress!, width) }
        }
        for i in 0..<n {
            let rate = Double(max(rates[i], 1e-3))
            let odds = data.learnsEnergy ? rate : Double(positiveWeight) * rate / max(1 - rate, 1e-3)
            var bias = Float(Double64.ln(odds))
            for r in 0..<rank { bias -= weights.b[i * rank + r] * shifts[r] }
            weights.bias[i] = bias
        }
        return weights
    }

    /// Fills in the covariances; returns the mean input, how often each output is active, and what was added to the
    /// diagonal.
    private func moments(
        _ covariance: FloatMatrix, _ cross: FloatMatrix
    ) throws(RuntimeError) -> (mean: [Float], rates: [Float], ridge: Float) {
        let n = data.outputs, batch = Self.batch
        let used = min(data.count, Self.limit)
        let step = Double(data.count) / Double(max(used, 1))
        let x = try FloatMatrix(batch, width), y = try FloatMatrix(batch, n)
        let energies = data.learnsEnergy ? data.energies : []
        var mean = [Float](repeating: 0, count: width), rates = [Float](repeating: 0, count: n)
        for start in stride(from: 0, to: used, by: batch) {
            let count = min(batch, used - start)
            for i in 0..<count {
                let t = Int(Double(start + i) * step)
                data.inputs.expand(t, into: x[i])
                let levels = data.levels.pointer + t * n, row = y[i], bound = data.bounds[t]
                for j in 0..<n {
                    let level = Int(levels[j])
                    // Rare large ones would drown the rest.
                    row[j] = data.learnsEnergy ? min(energies[level] * data.gain[j], 8) : level >= bound ? 1 : 0
                    rates[j] += row[j]
                }
                for k in 0..<width { mean[k] += x[i][k] }
            }
            for (out, rows, left) in [(covariance, width, x), (cross, n, y)] {
                MatrixMath.multiply(
                    rows: rows, columns: x.padded, depth: count, left.pointer, rowStep: 1, stepK: left.stride,
                    x.pointer, stride: x.stride, into: out.pointer, outStride: out.stride, adding: true)
            }
        }
        let scale = 1 / Float(used)
        for k in 0..<width { mean[k] *= scale }
        for j in 0..<n { rates[j] *= scale }
        var trace: Float = 0
        for i in 0..<width {
            for k in 0..<width { covariance[i][k] = covariance[i][k] * scale - mean[i] * mean[k] }
            trace += covariance[i][i]
        }
        // What hardly varies must not be blown up.
        let ridge = 1e-3 * trace / Float(width) + 1e-9
        for i in 0..<width { covariance[i][i] += ridge }
        for j in 0..<n {
            for k in 0..<width { cross[j][k] = cross[j][k] * scale - rates[j] * mean[k] }
        }
        return (mean, rates, ridge)
    }

    /// `[rank, width]` orthonormal rows that span what matters most of K.
    private func leadingDirections(
        _ k: FloatMatrix, _ slope: [Float], _ seed: UInt64
    ) throws(RuntimeError) -> FloatMatrix {
        let gram = try FloatMatrix(width, width), scaled = try FloatMatrix(k.rows, width)
        for i in 0..<k.rows {
            let root = slope[i].squareRoot()
            for j in 0..<width { scaled[i][j] = k[i][j] * root }
        }
        MatrixMath.multiply(
            rows: width, columns: scaled.padded, depth: k.rows, scaled.pointer, rowStep: 1, stepK: scaled.stride,
            scaled.pointer, stride: scaled.stride, into: gram.pointer, outStride: gram.stride)
        return try MatrixMath.leading(rank, of: gram, seed: seed)
    }
}
