// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyRuntime

/// How a sparse run of a model differs from the dense run of the same tokens.
package struct Quality: Sendable {
    package internal(set) var tokens = 0
    var loss = 0.0
    var denseLoss = 0.0
    var squares = 0.0
    var divergence = 0.0
    var agreements = 0
    /// What was computed.
    package internal(set) var activity = Activity()

    package var perplexity: Double { Double64.exp(loss / Double(max(tokens, 1))) }
    package var densePerplexity: Double { Double64.exp(denseLoss / Double(max(tokens, 1))) }
    /// Nats a token more than dense, and the standard error of that.
    package var lossIncrease: Double { (loss - denseLoss) / Double(max(tokens, 1)) }
    package var lossIncreaseError: Double {
        let n = Double(max(tokens, 2))
        return (max(squares / n - lossIncrease * lossIncrease, 0) / (n - 1)).squareRoot()
    }
    /// Perplexity by the dense one, less 1.
    package var perplexityIncrease: Double { Double64.exp(lossIncrease) - 1 }
    /// Mean KL(dense || sparse) in nats.
    package var kl: Double { divergence / Double(max(tokens, 1)) }
    /// Share of the positions whose argmax is the same.
    package var agreement: Double { Double(agreements) / Double(max(tokens, 1)) }
}

/// Compares ways of running a model sparse with running it dense, on the same tokens.
package struct Comparison {
    private let model: Model
    private let sample: TextSample
    private let options: Session.Options

    package init(_ model: Model, _ sample: TextSample, _ options: Session.Options) {
        self.model = model
        self.sample = sample
        self.options = options
    }

    /// Reads every piece once dense and once in each way; predictions after the first few tokens of a piece count.
    /// - Parameter progress: called after every piece; returning false ends the comparison.
    /// - Throws: `RuntimeError`.
    package func run(
        _ ways: [SelectionMethod], progress: (_ done: Int, _ of: Int) -> Bool = { _, _ in true }
    ) throws(RuntimeError) -> [Quality] {
        func session(_ method: SelectionMethod) throws(RuntimeError) -> Session {
            var options = options
            options.context = sample.chunks.reduce(1) { max($0, $1.count) }
            return try Session(model, options, method)
        }
        let dense = try session(.off)
        let others = try ways.map { way throws(RuntimeError) in try session(way) }
        var results = [Quality](repeating: Quality(), count: ways.count)
        let vocabulary = model.config.vocabularySize
        for (index, chunk) in sample.chunks.enumerated() {
            let first = min(chunk.count / 4, 32)
            var reference: [Float] = []
            reference.reserveCapacity((chunk.count - first) * vocabulary)
            dense.rewind(to: 0)
            try dense.evaluateBlocks(chunk, logitsFrom: first) { _, rows in reference += rows }
            for (way, session) in others.enumerated() {
                session.rewind(to: 0)
                _ = try reference.withUnsafeBufferPointer { reference throws(RuntimeError) in
                    try session.evaluateBlocks(chunk, logitsFrom: first) { position, rows in
                        let count = min(rows.count / vocabulary, chunk.count - 1 - position)
                        let dense = reference.baseAddress! + (position - first) * vocabulary
                        results[way].add(session, dense, rows.baseAddress!, chunk[(position + 1)...].prefix(count))
                    }
                }
            }
            if !progress(index + 1, sample.chunks.count) { break }
        }
        for (way, session) in others.enumerated() { results[way].activity = session.activity }
        return results
    }
}

extension Quality {
    /// Adds the predictions of `targets`, given the rows of logits before each.
    fileprivate mutating func add(
        _ session: Session, _ dense: UnsafePointer<Float>, _ sparse: UnsafePointer<Float>, _ targets: ArraySlice<Int32>
    ) {
        let vocabulary = session.model.config.vocabularySize
        let rows = [Row](unsafeUninitializedCapacity: targets.count) { rows, count in
            nonisolated(unsafe) let rows = rows.baseAddress!
            nonisolated(unsafe) let (dense, sparse) = (dense, sparse)
            session.pool.run(targets.count) { t, _ in
                let row = Row(
                    dense + t * vocabulary, sparse + t * vocabulary, vocabulary,
                    Int(targets[targets.startIndex + t]), session.kernels)
                (rows + t).initialize(to: row)
            }
            count = targets.count
        }
        for row in rows {
            tokens += 1
            loss += row.loss
            denseLoss += row.denseLoss
            squares += (row.loss - row.denseLoss) * (row.loss - row.denseLoss)
            divergence += row.divergence
            agreements += row.agrees ? 1 : 0
        }
    }

    /// One position.
    private struct Row {
        let loss, denseLoss, divergence: Double
        let agrees: Bool

        init(
            _ dense: UnsafePointer<Float>, _ sparse: UnsafePointer<Float>, _ count: Int, _ target: Int,
            _ kernels: KernelTable
        ) {
            let (p, q) = (argmax(dense, count), argmax(sparse, count))
            (loss, denseLoss, divergence) = withUnsafeTemporaryAllocation(of: Float.self, capacity: count + 16) { e in
                let e = e.baseAddress!
                e.update(from: sparse, count: count)
                let logQ = Double64.ln(Double(kernels.softmaxWeights(e, 0, count, sparse[q]))) + Double(sparse[q])
                e.update(from: dense, count: count)
                let total = kernels.softmaxWeights(e, 0, count, dense[p])
                let logP = Double64.ln(Double(total)) + Double(dense[p])
                var sum = 0.0
                for i in 0..<count { sum += Double(e[i] * (dense[i] - sparse[i])) }
                return (
                    logQ - Double(sparse[target]), logP - Double(dense[target]),
                    max(sum / Double(total) - logP + logQ, 0)
                )
            }
            agrees = p == q
        }
    }
}
