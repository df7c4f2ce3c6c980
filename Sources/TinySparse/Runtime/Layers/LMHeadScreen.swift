// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// Two small matrices whose product with a token's output norm approximates its logits.
package struct LMHeadScreenWeights: Sendable {
    /// d_model to rank.
    let reduce: Linear
    /// Rank to vocabulary.
    let expand: Linear
    let config: LMHeadScreenConfig

    package var bytes: Int { reduce.bytes + expand.bytes }
}

/// What a screen did.
package struct LMHeadScreenActivity: Sendable {
    /// Tokens that were screened, those of them included for which all rows were computed.
    package var tokens = 0
    /// Tokens for which too many rows were in reach, so that all were computed.
    package var dense = 0
    /// Rows computed for the other tokens.
    package var rows = 0

    /// Share of the tokens for which all rows were computed.
    package var denseShare: Double { tokens == 0 ? 0 : Double(dense) / Double(tokens) }
    /// Rows for a token, by the mean over those for which not all were computed.
    package var rowsPerToken: Double { tokens == dense ? 0 : Double(rows) / Double(tokens - dense) }

    package static func - (a: Self, b: Self) -> Self {
        Self(tokens: a.tokens - b.tokens, dense: a.dense - b.dense, rows: a.rows - b.rows)
    }
}

/// The logits of a token, exact where it matters (docs/NUMERICS.md, 10): a product of low rank scores all rows of
/// the output matrix, and the rows whose scores are near the best are computed.
///
/// The best score of all and not a logit says what is near: a low-rank product underestimates high logits, and
/// the higher they are the more so. By scores, a tenth of the rows is enough.
package final class LMHeadScreen {
    private let context: ComputeContext
    private let head: Linear
    private let screen: LMHeadScreenWeights
    private let inner: AlignedBuffer<Float>
    private let reduced: Activations
    /// The rows to compute, ascending, and their logits.
    private let rows: AlignedBuffer<Int32>
    private let exact: AlignedBuffer<Float>
    /// The best score of each block of rows: most blocks need no second look.
    private let best: AlignedBuffer<Float>
    private(set) var activity = LMHeadScreenActivity()

    /// How many exact logits can be asked for. Finding the k-th best costs k comparisons for some rows.
    static let possible = 1...256
    private static let block = 64

    /// nil if the model has no screen.
    init?(_ context: ComputeContext, _ weights: Weights, in memory: SessionMemory) throws(RuntimeError) {
        guard let screen = weights.screen else { return nil }
        self.context = context
        self.screen = screen
        head = weights.head
        inner = try AlignedBuffer(screen.config.rank, in: memory)
        reduced = try Activations(width: screen.config.rank, capacity: 1, in: memory)
        let most = min(screen.config.rows, head.outputs) + Self.block
        rows = try AlignedBuffer(most, in: memory)
        exact = try AlignedBuffer(most, in: memory)
        best = try AlignedBuffer(head.outputs / Self.block + 1, in: memory)
    }

    /// `out[i]` for every row i of the head: the `count` largest are exact, of the others those with good scores.
    /// - Parameters:
    ///   - x: one token's quantized output norm.
    ///   - count: in `possible`.
    /// - Complexity: O(rank * (d_model + rows of the head) + d_model * rows computed).
    func run(_ x: QuantizedRows, topK count: Int, into out: UnsafeMutablePointer<Float>) {
        activity.tokens += 1
        context.products.multiply(x, tokens: 1, ProductTarget(map: screen.reduce, out: inner.pointer))
        reduced.set(0, inner.pointer, screen.config.rank, context.kernels)
        context.products.multiply(reduced.rows(), tokens: 1, ProductTarget(map: screen.expand, out: out))
        guard let found = choose(count, out) else {
            activity.dense += 1
            context.products.multiply(x, tokens: 1, ProductTarget(map: head, out: out))
            return
        }
        activity.rows += found
        context.products.gather(x, rows: rows.pointer, count: found, ProductTarget(map: head, out: exact.pointer))
        merge(count, found, out)
    }

    /// Lists the rows whose scores are within the margin of the best, at least the `count` best; nil if they are so
    /// many that all are to be computed.
    private func choose(_ count: Int, _ scores: UnsafePointer<Float>) -> Int? {
        let total = head.outputs, blocks = (total + Self.block - 1) / Self.block
        findBest(scores, blocks)
        var top = best.pointer[0]
        for b in 1..<max(blocks, 1) { top = best.pointer[b] > top ? best.pointer[b] : top }
        let margin = count == 1 ? screen.config.margin : screen.config.wideMargin
        // Not finite: the whole product shows whether the model is broken.
        guard top.isFinite, count < total else { return nil }
        let found = list(scores, blocks, from: top - margin)
        if found ?? count >= count { return found }
        return list(scores, blocks, from: Self.largest(count, of: scores, total))
    }

    /// Lists the rows with a score of at least `bar`; nil if they are more than may be, or all.
    private func list(_ scores: UnsafePointer<Float>, _ blocks: Int, from bar: Float) -> Int? {
        let total = head.outputs, most = min(screen.config.rows, total - 1)
        var found = 0
        for b in 0..<blocks where best.pointer[b] >= bar {
            for i in b * Self.block..<min((b + 1) * Self.block, total) {
                rows.pointer[found] = Int32(truncatingIfNeeded: i)
                found += scores[i] >= bar ? 1 : 0
            }
            if found > most { return nil }
        }
        return found
    }

    /// Puts the exact logits in place, and everything else below the `count` largest of them.
    private func merge(_ count: Int, _ found: Int, _ out: UnsafeMutablePointer<Float>) {
        let total = head.outputs
        let least = Self.largest(count, of: exact.pointer, found)
        let below = least.nextDown
        for b in 0..<(total + Self.block - 1) / Self.block where best.pointer[b] >= least {
            for i in b * Self.block..<min((b + 1) * Self.block, total) where out[i] >= least { out[i] = below }
        }
        for i in 0..<found { out[Int(rows.pointer[i])] = exact.pointer[i] }
    }

    /// The best score of each block.
    private func findBest(_ scores: UnsafePointer<Float>, _ blocks: Int) {
        let total = head.outputs, best = best.pointer
        let piece = 128
        context.pool.run((blocks + piece - 1) / piece) { number, _ in
            for b in number * piece..<min((number + 1) * piece, blocks) {
                let first = b * Self.block
                guard first + Self.block <= total else {
                    best[b] = scores[first]
                    for i in first + 1..<max(total, first + 1) where scores[i] > best[b] { best[b] = scores[i] }
                    continue
                }
                let raw = UnsafeRawPointer(scores + first)
                var top = raw.loadUnaligned(as: SIMD16<Float>.self)
                for step in 1..<4 {
                    let next = raw.loadUnaligned(fromByteOffset: 64 * step, as: SIMD16<Float>.self)
                    top.replace(with: next, where: next .> top)
                }
                var half = top.lowHalf
                half.replace(with: top.highHalf, where: top.highHalf .> half)
                var quarter = half.lowHalf
                quarter.replace(with: half.highHalf, where: half.highHalf .> quarter)
                let a = quarter[0] > quarter[1] ? quarter[0] : quarter[1]
                let b2 = quarter[2] > quarter[3] ? quarter[2] : quarter[3]
                best[b] = a > b2 ? a : b2
            }
        }
    }

    /// The value that `rank` of `count` values reach, `rank` being small and at most `count`.
    private static func largest(_ rank: Int, of values: UnsafePointer<Float>, _ count: Int) -> Float {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: rank + 1) { sorted in
            var size = 0
            for i in 0..<count {
                let value = values[i]
                // Written so that a value that is no number stays out, unless there is nothing else.
                if size == rank, !(value > sorted[rank - 1]) { continue }
                var place = size
                while place > 0, sorted[place - 1] < value {
                    sorted[place] = sorted[place - 1]
                    place -= 1
                }
                sorted[place] = value
                if size < rank { size += 1 }
            }
            return sorted[rank - 1]
        }
    }
}
