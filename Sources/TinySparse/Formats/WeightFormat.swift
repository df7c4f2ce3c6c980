import TinySupport

/// How a conversion stores the weights of matrices.
public enum WeightFormat: String, Sendable, CaseIterable {
    /// A byte a weight and one scale an output.
    case int8
    /// 4 bits a weight and a pair of halves for every 32 of them. The embedding and the output matrix stay
    /// int8: that is where 4 bits would cost the most. So do the feed-forward matrices of relu models, which
    /// skip neurons: sixteen rows of 4-bit weights lie together, and one of them is not to be had for less.
    case w4
    /// The same and the embedding and the output matrix too: the smallest, at a price in quality.
    case w4all = "w4-all"
}

/// Which matrices of a native file have 4-bit weights: the last part of their names.
package struct FourBitKinds: Sendable, Equatable {
    /// In the order of `possible`.
    package private(set) var names: [String] = []

    /// What can have them. Of these, `output` and `token_embd` are one if the head is tied.
    static let possible = [
        "token_embd", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down", "output",
    ]
    private static let key = "tinysparse.four_bit"

    package init() {}

    /// What `format` means for a model of that kind.
    package init(_ format: WeightFormat, _ config: ModelConfig) {
        names = Self.possible.filter { name in
            switch format {
            case .int8: false
            case .w4: name.hasPrefix("attn_") || name.hasPrefix("ffn_") && config.activation != .relu
            case .w4all: !name.hasPrefix("ffn_") || config.activation != .relu
            }
        }
    }

    package var isEmpty: Bool { names.isEmpty }

    /// True if the matrix of that name ("blk.3.attn_q", "output") has 4-bit weights.
    func contains(_ matrix: String) -> Bool {
        names.contains { matrix.hasSuffix($0) && (matrix.count == $0.count || matrix.dropLast($0.count).hasSuffix(".")) }
    }

    func write(to writer: inout GGUFWriter) {
        guard !isEmpty else { return }
        writer.add(Self.key, names.map { Array($0.utf8) })
    }

    /// Reads what a native file says; empty if it says nothing.
    /// - Throws: `FormatError` naming the key.
    init(_ gguf: GGUF) throws(FormatError) {
        guard let entry = gguf.entry(Self.key) else { return }
        names = try entry.byteStrings(in: gguf.file).map { String(decoding: $0, as: UTF8.self) }
        guard names == Self.possible.filter(names.contains) else {
            throw FormatError(
                .unsupported, path: gguf.path, item: Self.key,
                "names matrices that have no 4-bit weights here; convert the original model again")
        }
    }
}
