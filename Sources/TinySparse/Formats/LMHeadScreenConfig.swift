// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The screen of a model's output matrix, which finds the rows worth computing: docs/NUMERICS.md, 10.
package struct LMHeadScreenConfig: Sendable, Equatable {
    /// Rank of the product that scores the rows.
    package var rank: Int
    /// Most rows that are computed; if more are within the margin, all are.
    package var rows: Int
    /// How far below the best score a row may be, if only the largest logit has to be exact.
    package var margin: Float
    /// The same if several have to be.
    package var wideMargin: Float

    package init(rank: Int, rows: Int, margin: Float, wideMargin: Float) {
        self.rank = rank
        self.rows = rows
        self.margin = margin
        self.wideMargin = wideMargin
    }

    private static let key = "tinysparse.predictors.screen_"

    func write(to writer: inout GGUFWriter) {
        writer.add(Self.key + "rank", UInt32(rank))
        writer.add(Self.key + "rows", UInt32(rows))
        writer.add(Self.key + "margin", margin)
        writer.add(Self.key + "wide_margin", wideMargin)
    }

    /// Reads what a native file says; nil if it says nothing.
    /// - Throws: `FormatError` naming the key.
    init?(_ gguf: GGUF) throws(FormatError) {
        guard gguf.entry(Self.key + "rank") != nil else { return nil }
        func count(_ name: String, most: Int) throws(FormatError) -> Int {
            let value = try gguf.integer(Self.key + name)
            guard (1...most).contains(value) else { throw wrong(name, "is \(value), not in 1...\(most)") }
            return value
        }
        func margin(_ name: String) throws(FormatError) -> Float {
            let value = Float(try gguf.double(Self.key + name))
            guard value.isFinite, value >= 0 else { throw wrong(name, "is not a finite number from 0 on") }
            return value
        }
        func wrong(_ name: String, _ message: String) -> FormatError {
            FormatError(.malformed, path: gguf.path, item: Self.key + name, message + "; train the screen again")
        }
        rank = try count("rank", most: 4096)
        rows = try count("rows", most: Int(Int32.max))
        self.margin = try margin("margin")
        wideMargin = try margin("wide_margin")
    }
}
