// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyPlatform
import TinyRuntime

/// A trained screen of the output matrix, as the file holds it.
struct TrainedScreen {
    let config: LMHeadScreenConfig
    let matrices: QuantizedPredictor
}

/// A screen in the finished model, measured on text it was not trained on.
package struct LMHeadScreenReport: Sendable {
    package let config: LMHeadScreenConfig
    /// What the screen itself reads for a token.
    package let bytes: Int
    package let quality: LMHeadScreenQuality
}

extension PredictorFile {
    /// A model with what it has, to which a screen can be added.
    static func unchanged(_ model: Model) -> (file: PredictorFile, result: TrainingResult) {
        let none = [PredictorReport?](repeating: nil, count: model.config.nLayers)
        let file = PredictorFile(
            neurons: [], heads: [], neuronThresholds: [], headThresholds: [], group: 1, lookahead: false,
            kept: model.config.predictors)
        return (file, TrainingResult(neurons: none, heads: none, headQuality: Quality(), quality: Quality()))
    }
}

/// Finds the low-rank product that predicts a model's logits best, and how far it can be trusted.
///
/// With C = L L^T the second moment of the head's inputs x, and E the head, the best B A of rank r, in squares of
/// E x - B A x, is A = V^T L^-1, B = E L V, V being the leading right singular vectors of E L. The rows of E are not
/// weighted: weights for those that are often among the best made the choice of several tokens worse.
///
/// The margins are what held-out tokens say: for one exact logit, the argmax is left out in at most one of
/// two thousand tokens; for several, the tokens left out of the best forty have at most a two-thousandth of the
/// forty's probability, by the mean. A text of another kind is harder, so that is half of what is promised; and where
/// rows are cheap, beside what the screen itself reads, a margin takes more of them than its promise needs.
///
/// Cost: vocabulary * d^2 operations, tokens * d^2, and a dense pass over the held-out tokens.
struct ScreenTraining {
    private let model: Model
    private let options: PredictorOptions
    /// Of what the head multiplies.
    private let width: Int
    private let rank: Int
    private let report: (TrainingEvent) throws(TrainingError) -> Void
    /// Tokens used at most, for the moment and for the margins; more change nothing.
    private static let limit = 16_384, heldOut = 8192
    private static let batch = 256
    private static let promise = 0.0005
    /// What rows may cost at least, by what the screen itself reads.
    private static let cheap = 0.25
    /// How many of the best tokens a sample is drawn from, as the sampler does by default.
    private static let several = 40

    init(_ model: Model, _ options: PredictorOptions, report: @escaping (TrainingEvent) throws(TrainingError) -> Void) {
        self.model = model
        self.options = options
        width = model.config.embeddingWidth
        rank = min(options.screenRank ?? Self.rank(for: model.config), width)
        self.report = report
    }

    /// The rank to use if none is given; 0 where a screen would not pay. A row of the screen takes whole groups of
    /// 64 bytes, and the more bytes a row of the head has, the more it pays to choose rows better.
    static func rank(for config: ModelConfig) -> Int {
        guard config.embeddingWidth >= 128, config.vocabularySize >= 1024 else { return 0 }
        return config.embeddingWidth < 1600 ? 64 : 128
    }

    /// - Parameter weights: what an interrupted training had found, if it fits.
    /// - Returns: the screen and its matrices in floats, or nil if none is wanted.
    /// - Throws: `TrainingError`, also what `report` throws.
    func run(
        training: TextSample, heldOut: TextSample, resuming weights: PredictorWeights?
    ) throws(TrainingError) -> (screen: TrainedScreen, weights: PredictorWeights)? {
        guard rank > 0 else { return nil }
        let fits = weights?.rank == rank && weights?.width == width
        let weights = try fits ? weights! : solve(training)
        let matrices = try ofRuntime(QuantizedPredictor(weights, .rowMajor))
        let margins = try margins(matrices, heldOut)
        // Rows here and there cost more than all in a row: with half of them in reach, all are as fast.
        let config = LMHeadScreenConfig(
            rank: rank, rows: max(model.config.vocabularySize / 2, 1), margin: margins.one, wideMargin: margins.several)
        return (TrainedScreen(config: config, matrices: matrices), weights)
    }

    private func session() throws(TrainingError) -> Session {
        var options = options.session
        options.sparsity = .predicted()
        return try ofRuntime(Session(model, options))
    }

    // MARK: The product

    private func solve(_ sample: TextSample) throws(TrainingError) -> PredictorWeights {
        let d = width, vocabulary = model.config.vocabularySize, head = model.weights.head
        let (moment, ridge) = try moment(sample)
        MatrixMath.cholesky(moment.pointer, d, stride: moment.stride, ridge: ridge)

        // E^T E, in batches of rows.
        let gram = try ofRuntime(FloatMatrix(d, d)), rows = try ofRuntime(FloatMatrix(Self.batch, d))
        var row = [Float](repeating: 0, count: d)
        func forEachBatch(_ body: (_ first: Int, _ count: Int) -> Void) throws(TrainingError) {
            for first in stride(from: 0, to: vocabulary, by: Self.batch) {
                let count = min(Self.batch, vocabulary - first)
                for i in 0..<count {
                    head.decode(row: first + i, into: &row)
                    rows[i].update(from: row, count: d)
                }
                body(first, count)
                if first % (16 * Self.batch) == 0 { try report(.screening(.solving, done: first, of: vocabulary)) }
            }
        }
        try forEachBatch { _, count in Self.add(rows, count, to: gram) }

        // L^T (E^T E) L, the square of E L.
        let lower = try ofRuntime(FloatMatrix(d, d)), half = try ofRuntime(FloatMatrix(d, d))
        let square = try ofRuntime(FloatMatrix(d, d))
        for i in 0..<d { lower[i].update(from: moment[i], count: i + 1) }
        MatrixMath.multiply(
            rows: d, columns: lower.padded, depth: d, gram.pointer, rowStep: gram.stride, stepK: 1, lower.pointer,
            stride: lower.stride, into: half.pointer, outStride: half.stride)
        MatrixMath.multiply(
            rows: d, columns: half.padded, depth: d, lower.pointer, rowStep: 1, stepK: lower.stride, half.pointer,
            stride: half.stride, into: square.pointer, outStride: square.stride)
        let directions = try ofRuntime(MatrixMath.leading(rank, of: square, seed: options.seed))

        // B = E (L V), then A = V^T L^-1.
        let lifted = try ofRuntime(FloatMatrix(d, rank))
        for k in 0..<d {
            for r in 0..<rank { lifted[k][r] = 0 }
            for r in 0..<rank {
                // Column r of L V: row k of L times direction r.
                lifted[k][r] = MatrixMath.dot(lower[k], directions[r], k + 1)
            }
        }
        var weights = PredictorWeights(
            rank: rank, width: d, outputs: vocabulary, a: [Float](repeating: 0, count: rank * d),
            b: [Float](repeating: 0, count: vocabulary * rank), bias: [Float](repeating: 0, count: vocabulary))
        let product = try ofRuntime(FloatMatrix(Self.batch, rank))
        try forEachBatch { first, count in
            MatrixMath.multiply(
                rows: count, columns: lifted.padded, depth: d, rows.pointer, rowStep: rows.stride, stepK: 1,
                lifted.pointer, stride: lifted.stride, into: product.pointer, outStride: product.stride)
            for i in 0..<count {
                for r in 0..<rank { weights.b[(first + i) * rank + r] = product[i][r] }
            }
        }
        for r in 0..<rank {
            let row = directions[r]
            MatrixMath.solveUpper(lower.pointer, d, stride: lower.stride, row)
            for k in 0..<d { weights.a[r * d + k] = row[k] }
        }
        balance(&weights)
        return weights
    }

    /// The mean of x x^T over a sample, with a little on the diagonal: what hardly varies must not be blown up.
    private func moment(_ sample: TextSample) throws(TrainingError) -> (moment: FloatMatrix, ridge: Float) {
        let d = width
        let sum = try ofRuntime(FloatMatrix(d, d)), x = try ofRuntime(FloatMatrix(Self.batch, d))
        let session = try session()
        let chunks = sample.spread(Self.limit)
        var waiting = 0, total = 0, done = 0
        func flush() {
            Self.add(x, waiting, to: sum)
            total += waiting
            waiting = 0
        }
        for chunk in chunks {
            session.rewind(to: 0)
            try ofRuntime(
                session.readOutputs(chunk) { output, count in
                    for t in 0..<count {
                        output.row(t).expand(into: x[waiting], width: d)
                        waiting += 1
                        if waiting == Self.batch { flush() }
                    }
                })
            done += 1
            try report(.screening(.reading, done: done, of: chunks.count))
        }
        flush()
        var trace: Float = 0
        for i in 0..<d {
            for k in 0..<d { sum[i][k] /= Float(max(total, 1)) }
            trace += sum[i][i]
        }
        let ridge = 1e-3 * trace / Float(d) + 1e-9
        for i in 0..<d { sum[i][i] += ridge }
        return (sum, ridge)
    }

    /// `out += x^T x` for `count` rows of x, on all cores; the sums are the same on any number of them.
    private static func add(_ x: FloatMatrix, _ count: Int, to out: FloatMatrix) {
        nonisolated(unsafe) let (x, out) = (x, out)
        let piece = 32
        concurrently((out.rows + piece - 1) / piece) { number in
            let first = number * piece
            MatrixMath.multiply(
                rows: min(piece, out.rows - first), columns: x.padded, depth: count, x.pointer + first, rowStep: 1,
                stepK: x.stride, x.pointer, stride: x.stride, into: out[first], outStride: out.stride, adding: true)
        }
    }

    /// Shares the size of each of the `rank` products between A x and B, so that bytes are as fine in both.
    private func balance(_ weights: inout PredictorWeights) {
        let d = weights.width, n = weights.outputs
        for r in 0..<rank {
            var energy: Float = 0
            for i in 0..<n { energy += weights.b[i * rank + r] * weights.b[i * rank + r] }
            let scale = max((energy / Float(n)).squareRoot().squareRoot(), 1e-12)
            for k in 0..<d { weights.a[r * d + k] *= scale }
            for i in 0..<n { weights.b[i * rank + r] /= scale }
        }
    }

    // MARK: Margins

    /// How far below the best score the rows are that matter, in eighths.
    private func margins(_ screen: QuantizedPredictor, _ sample: TextSample) throws(TrainingError) -> (
        one: Float, several: Float
    ) {
        let vocabulary = model.config.vocabularySize
        let several = min(Self.several, vocabulary)
        let session = try session()
        let chunks = sample.spread(Self.heldOut)
        // Bins of an eighth: how many tokens' best row, and how much probability, lies so far below the best score.
        var missed = [Double](repeating: 0, count: Self.bins), mass = missed
        var rows = [Int](repeating: 0, count: Self.bins)
        var tokens = 0
        for (index, chunk) in chunks.enumerated() {
            session.rewind(to: 0)
            func add(_ output: Activations, _ count: Int, _ logits: UnsafePointer<Float>?) {
                var depths = [Depths](repeating: Depths(), count: count)
                depths.withUnsafeMutableBufferPointer { depths in
                    nonisolated(unsafe) let (depths, output, logits) = (depths, output, logits!)
                    session.pool.run(count) { t, _ in
                        depths[t] = Self.depths(
                            screen, output.row(t), logits + t * vocabulary, vocabulary, several, session.kernels)
                    }
                }
                for depth in depths {
                    missed[depth.best[0].bin] += 1
                    for (bin, share) in depth.best { mass[bin] += share }
                    for bin in 0..<Self.bins { rows[bin] += Int(depth.rows[bin]) }
                }
                tokens += count
            }
            try ofRuntime(session.readOutputs(chunk, withLogits: true, add))
            try report(.screening(.measuring, done: index + 1, of: chunks.count))
        }
        let affordable = Self.cheap * Double(screen.bytes) / Double(model.weights.head.rowBytes) * Double(tokens)
        func margin(_ bins: [Double]) -> Float {
            var left = bins.reduce(0, +), bin = 0, taken = rows[0] + rows[1]
            while bin < Self.bins - 2, left - bins[bin] > Self.promise * Double(tokens) || Double(taken) < affordable {
                left -= bins[bin]
                bin += 1
                taken += rows[bin + 1]
            }
            return Float(bin + 1) / 8
        }
        return (margin(missed), margin(mass))
    }

    private static let bins = 1024

    /// How far below its best score the scores of a token are.
    private struct Depths {
        /// Of the rows with the largest logits, the best first, and their probabilities.
        var best: [(bin: Int, share: Double)] = []
        /// How many rows are in each bin.
        var rows: [Int32] = []
    }

    private static func depths(
        _ screen: QuantizedPredictor, _ x: QuantizedRows, _ logits: UnsafePointer<Float>, _ count: Int, _ several: Int,
        _ kernels: KernelTable
    ) -> Depths {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { scores in
            screen.scores(x, kernels, into: scores.baseAddress!)
            var top = scores[0]
            for i in 1..<max(count, 1) { top = scores[i] > top ? scores[i] : top }
            var best: [Int] = []
            for i in 0..<count where best.count < several || logits[i] > logits[best[several - 1]] {
                var place = best.count
                while place > 0, logits[best[place - 1]] < logits[i] { place -= 1 }
                best.insert(i, at: place)
                if best.count > several { best.removeLast() }
            }
            let shares = best.map { Double64.exp(max(Double(logits[$0] - logits[best[0]]), -600)) }
            let sum = shares.reduce(0, +)
            func bin(_ row: Int) -> Int { binIndex((top - scores[row]) * 8, of: bins) }
            var depths = Depths(
                best: zip(best, shares).map { (bin($0), $1 / sum) }, rows: .init(repeating: 0, count: bins))
            for row in 0..<count { depths.rows[bin(row)] += 1 }
            return depths
        }
    }
}

extension TextSample {
    /// Pieces of the sample, evenly spread, with about so many tokens at most.
    fileprivate func spread(_ most: Int) -> [[Int32]] {
        let step = max((tokens + most - 1) / most, 1)
        return chunks.indices.filter { $0 % step == 0 }.map { chunks[$0] }
    }
}

extension Session {
    /// Reads tokens and calls `body` with what the head multiplies, block by block, and all logits if wanted.
    fileprivate func readOutputs(
        _ new: [Int32], withLogits: Bool = false,
        _ body: (_ output: Activations, _ count: Int, _ logits: UnsafePointer<Float>?) -> Void
    ) throws(RuntimeError) {
        let vocabulary = model.config.vocabularySize
        if withLogits {
            try evaluateBlocks(new, logitsFrom: 0) { _, rows in
                let count = rows.count / vocabulary
                body(forward.output(of: 0, count), count, rows.baseAddress!)
            }
        } else {
            for start in stride(from: 0, to: new.count, by: forward.blockSize) {
                let block = new[start..<min(start + forward.blockSize, new.count)]
                try evaluate(block)
                body(forward.output(of: 0, block.count), block.count, nil)
            }
        }
    }

    fileprivate func readOutputs(_ new: [Int32], _ body: (_ output: Activations, _ count: Int) -> Void)
        throws(RuntimeError)
    {
        try readOutputs(new, withLogits: false) { output, count, _ in body(output, count) }
    }
}
