// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinyTokenizer

/// Pieces of a text, spread evenly over it, as tokens that are read each on its own.
package struct TextSample: Sendable {
    /// At most `context` tokens each; no piece overlaps another.
    package var chunks: [[Int32]] = []

    package var tokens: Int { chunks.reduce(0) { $0 + $1.count } }

    package init(chunks: [[Int32]]) { self.chunks = chunks }

    /// Takes about `tokens` tokens out of `text`, fewer if there are not so many.
    ///
    /// Only the pieces are tokenized, so that a large text costs no more than a small one.
    /// - Parameter context: tokens of a piece.
    /// - Throws: `RuntimeError.emptyInput` for a text too short to learn anything from.
    package init(_ text: [UInt8], _ model: Model, context: Int, tokens: Int) throws(RuntimeError) {
        // Long enough for text whose tokens are long; shorter pieces if the text is short.
        let window = context * 8
        let count = max(min((tokens + context - 1) / context, text.count / (context * 4)), 1)
        let stride = text.count / count
        for piece in 0..<count {
            let end = min(piece * stride + min(stride, window), text.count)
            let start = Self.wordStart(in: text, from: piece * stride, before: end)
            let ids = model.tokenizer.encode(Array(text[start..<end]), addSpecial: true)
            if ids.count >= 8 { chunks.append(Array(ids.prefix(context))) }
        }
        guard !chunks.isEmpty else { throw .emptyInput("the text is too short to study: \(text.count) bytes") }
    }

    /// The first byte after a break, so that no piece begins within a word or a character.
    private static func wordStart(in text: [UInt8], from: Int, before end: Int) -> Int {
        guard from > 0 else { return 0 }
        let limit = min(from + 200, end)
        let line = text[from..<limit].firstIndex(of: 10)
        let space = text[from..<limit].firstIndex(of: 32)
        guard let found = line ?? space else { return from }
        return found + 1
    }

    /// Its first tokens.
    func first(_ tokens: Int) -> TextSample {
        var some = TextSample(chunks: [])
        for chunk in chunks where some.tokens < tokens { some.chunks.append(Array(chunk.prefix(tokens - some.tokens))) }
        return some
    }

    /// Every tenth piece for choosing thresholds, every tenth for measuring, the rest for training. A sample
    /// of few pieces uses some of them twice.
    package func split() -> (training: TextSample, validation: TextSample, calibration: TextSample) {
        func part(_ isIn: (Int) -> Bool) -> TextSample {
            let some = chunks.indices.filter(isIn).map { chunks[$0] }
            return TextSample(chunks: some.isEmpty ? chunks : some)
        }
        return (part { $0 % 10 != 4 && $0 % 10 != 9 }, part { $0 % 10 == 4 }, part { $0 % 10 == 9 })
    }
}

/// An activation's size in a byte: five bits of exponent, three of mantissa, 2^-20 to 2^12.
enum Level {
    private static let least: UInt32 = (127 - 20) << 3

    /// 0 for what is zero or next to nothing.
    @inline(__always)
    static func of(_ x: Float) -> UInt8 {
        let key = Int32(bitPattern: x.magnitude.bitPattern >> 20) &- Int32(least)
        return UInt8(truncatingIfNeeded: min(max(key, 0), 255))
    }

    /// The middle of what a level stands for; index 0 is 0.
    static let values: [Float] = (0..<256).map { level in
        level == 0 ? 0 : Float(bitPattern: (UInt32(level) + least) << 20) * 1.0625
    }
}
