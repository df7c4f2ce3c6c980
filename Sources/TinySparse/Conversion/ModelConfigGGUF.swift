import TinyFormats
import TinySupport

extension ModelConfig {
    /// Reads the configuration out of the metadata of a GGUF file made by the
    /// converters of llama.cpp ("llama") or its relatives ("opt").
    /// - Throws: `FormatError` naming the key.
    package init(gguf: GGUF) throws(FormatError) {
        let architecture = try gguf.string("general.architecture")
        guard Self.supportedArchitectures.contains(architecture) else {
            throw Self.unsupportedArchitecture(
                architecture, path: gguf.path, item: "general.architecture")
        }
        func key(_ name: String) -> String { "\(architecture).\(name)" }
        func unsupported(_ key: String, _ message: String) -> FormatError {
            FormatError(.unsupported, path: gguf.path, item: key, message)
        }
        if let experts = try gguf.optionalInteger(key("expert_count")), experts > 0 {
            throw unsupported(key("expert_count"), "mixtures of experts are not supported")
        }
        let isLlama = architecture == "llama"
        let width = try gguf.integer(key("embedding_length"))
        let heads = try gguf.integer(key("attention.head_count"))
        guard heads > 0, width > 0 else {
            throw FormatError(
                .malformed, path: gguf.path, item: key("attention.head_count"),
                "\(heads) heads of an embedding of \(width)")
        }
        let headDim = try gguf.optionalInteger(key("attention.key_length")) ?? width / heads
        let valueDim = try gguf.optionalInteger(key("attention.value_length")) ?? headDim
        guard valueDim == headDim else {
            throw unsupported(
                key("attention.value_length"), "\(valueDim) differs from the key length \(headDim)")
        }

        let epsilonKey = isLlama ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"
        self.init(
            architecture: architecture, name: try gguf.optionalString("general.name") ?? architecture,
            vocabularySize: try Self.vocabularySize(gguf, key("vocab_size")), dModel: width,
            nLayers: try gguf.integer(key("block_count")), nHeads: heads,
            nKVHeads: try gguf.optionalInteger(key("attention.head_count_kv")) ?? heads, headDim: headDim,
            dFF: try gguf.integer(key("feed_forward_length")), contextLength: try gguf.integer(key("context_length")),
            normEpsilon: Float(try gguf.optionalDouble(key(epsilonKey)) ?? 1e-5),
            normKind: isLlama ? .rms : .layer, activation: isLlama ? .silu : .relu, gated: isLlama,
            positions: isLlama ? try Self.rope(gguf, key: key, headDim: headDim) : .learned(offset: 2),
            ropeFactors: try Self.ropeFactors(gguf), tiedHead: gguf.tensor("output.weight") == nil, hasBiases: !isLlama)
        try validate(path: gguf.path)
    }

    private static func ropeFactors(_ gguf: GGUF) throws(FormatError) -> [Float] {
        guard let factors = gguf.tensor("rope_freqs.weight") else { return [] }
        guard factors.format == .f32, factors.dimensions.count == 1, factors.dimensions[0] <= 1 << 10 else {
            throw FormatError(.unsupported, path: gguf.path, item: "rope_freqs.weight", "is no short list of floats")
        }
        let bytes = gguf.bytes(of: factors)
        return (0..<factors.dimensions[0]).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }

    private static func vocabularySize(_ gguf: GGUF, _ key: String) throws(FormatError) -> Int {
        if let size = try gguf.optionalInteger(key) { return size }
        guard let tokens = gguf.entry("tokenizer.ggml.tokens")?.element else {
            throw gguf.missing(key)
        }
        return tokens.count
    }

    private static func rope(
        _ gguf: GGUF, key: (String) -> String, headDim: Int
    ) throws(FormatError) -> Positions {
        let kind = try gguf.optionalString(key("rope.scaling.type")) ?? "none"
        guard kind == "none" || kind == "linear" else {
            throw FormatError(
                .unsupported, path: gguf.path, item: key("rope.scaling.type"),
                "rope scaling \"\(printable(kind))\" is not supported; none and linear are")
        }
        var scaling = try gguf.optionalDouble(key("rope.scale_linear")) ?? 1
        if kind == "linear" { scaling = try gguf.double(key("rope.scaling.factor")) }
        let dims = try gguf.optionalInteger(key("rope.dimension_count")) ?? headDim
        guard dims == headDim else {
            throw FormatError(
                .unsupported, path: gguf.path, item: key("rope.dimension_count"),
                "\(dims) of the \(headDim) dimensions of a head turn; all have to")
        }
        let base = try gguf.optionalDouble(key("rope.freq_base")) ?? 10_000
        return .rope(base: base, scaling: scaling, dims: dims, interleaved: true)
    }
}
