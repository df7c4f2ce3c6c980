// SPDX-License-Identifier: Apache-2.0

import TinyFormats

/// How often a screened head agrees with the whole of it, and what it computes.
package struct LMHeadScreenQuality: Sendable {
    /// Tokens that were compared.
    package internal(set) var tokens = 0
    /// Those with the same best token.
    package internal(set) var agreements = 0
    /// Those for which all rows were computed.
    package internal(set) var dense = 0
    /// Rows computed for the others.
    package internal(set) var rows = 0

    package init() {}

    /// Share of the tokens with the same best token.
    package var agreement: Double { Double(agreements) / Double(max(tokens, 1)) }
    /// Share of the tokens for which all rows were computed.
    package var denseShare: Double { Double(dense) / Double(max(tokens, 1)) }
    /// Rows for a token, by the mean over those for which not all were computed.
    package var rowsPerToken: Double { Double(rows) / Double(max(tokens - dense, 1)) }
}

extension Session {
    /// Screens the tokens of the block whose logits are at hand, and compares. Nothing without a screen.
    /// - Parameters:
    ///   - first: the number of the first of them in its block.
    ///   - rows: the logits, all of them exact.
    func compareScreen(_ first: Int, _ rows: UnsafeBufferPointer<Float>, to quality: inout LMHeadScreenQuality?)
        throws(RuntimeError)
    {
        guard let screen = forward.screen else { return }
        let vocabulary = model.config.vocabularySize
        let out = try AlignedBuffer<Float>(vocabulary)
        let count = rows.count / vocabulary
        let x = forward.output(of: first, count)
        let before = screen.activity
        var sum = quality ?? LMHeadScreenQuality()
        for t in 0..<count {
            screen.run(x.row(t), topK: 1, into: out.pointer)
            let a = argmax(out.pointer, vocabulary), b = argmax(rows.baseAddress! + t * vocabulary, vocabulary)
            sum.agreements += a == b ? 1 : 0
        }
        let done = screen.activity - before
        sum.tokens += count
        sum.dense += done.dense
        sum.rows += done.rows
        quality = sum
    }

    /// How the screen does on some texts, each read on its own; nil without one.
    package func screenQuality(
        of chunks: [[Int32]], progress: (_ done: Int, _ of: Int) -> Bool = { _, _ in true }
    ) throws(RuntimeError) -> LMHeadScreenQuality? {
        var quality: LMHeadScreenQuality?
        var failure: RuntimeError?
        for (index, chunk) in chunks.enumerated() {
            rewind(to: 0)
            try evaluateBlocks(chunk, logitsFrom: 0) { _, rows in
                do throws(RuntimeError) { try compareScreen(0, rows, to: &quality) } catch { failure = error }
            }
            if let failure { throw failure }
            if !progress(index + 1, chunks.count) { break }
        }
        rewind(to: 0)
        return quality
    }
}
