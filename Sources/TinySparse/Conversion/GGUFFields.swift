import Quant
import TinyFormats
import TinySupport

extension ModelConfig {
    /// Reads the configuration out of the metadata of a GGUF file made by the converters of llama.cpp or its relatives.
    /// - Throws: `FormatError` naming the key.
    package init(gguf: GGUF) throws(FormatError) {
        let name = try gguf.string("general.architecture")
        let architecture = try findArchitecture(named: name, path: gguf.path, item: "general.architecture")
        self = try architecture.config(GGUFFields(gguf: gguf, architecture: name))
        try validate(path: gguf.path)
    }
}

/// Typed access to the metadata of an architecture in a GGUF file: `llama.block_count` is `block_count` here.
struct GGUFFields {
    let gguf: GGUF
    let architecture: String

    func key(_ name: String) -> String { "\(architecture).\(name)" }

    func integer(_ name: String) throws(FormatError) -> Int { try gguf.integer(key(name)) }
    func optionalInteger(_ name: String) throws(FormatError) -> Int? { try gguf.optionalInteger(key(name)) }
    func optionalDouble(_ name: String) throws(FormatError) -> Double? { try gguf.optionalDouble(key(name)) }

    func unsupported(_ name: String, _ message: String) -> FormatError {
        FormatError(.unsupported, path: gguf.path, item: name, message)
    }

    // MARK: What most architectures have

    func modelName() throws(FormatError) -> String { try gguf.optionalString("general.name") ?? architecture }

    func vocabularySize() throws(FormatError) -> Int {
        if let size = try optionalInteger("vocab_size") { return size }
        guard let tokens = gguf.entry("tokenizer.ggml.tokens")?.element else { throw gguf.missing(key("vocab_size")) }
        return tokens.count
    }

    /// Width of the model, number of query heads and width of a head.
    func heads() throws(FormatError) -> (width: Int, heads: Int, headDim: Int) {
        if let experts = try optionalInteger("expert_count"), experts > 0 {
            throw unsupported(key("expert_count"), "mixtures of experts are not supported")
        }
        let width = try integer("embedding_length")
        let heads = try integer("attention.head_count")
        guard heads > 0, width > 0 else {
            throw FormatError(
                .malformed, path: gguf.path, item: key("attention.head_count"), "\(heads) heads of an embedding of \(width)")
        }
        let headDim = try optionalInteger("attention.key_length") ?? width / heads
        let valueDim = try optionalInteger("attention.value_length") ?? headDim
        guard valueDim == headDim else {
            throw unsupported(key("attention.value_length"), "\(valueDim) differs from the key length \(headDim)")
        }
        return (width, heads, headDim)
    }

    var isHeadTied: Bool { gguf.tensor(TensorID(.lmHead).stem + ".weight") == nil }

    /// - Parameter interleaved: whether rotary pairs are adjacent in the rows of queries and keys.
    func rope(headDim: Int, interleaved: Bool) throws(FormatError) -> ModelConfig.Positions {
        let kind = try gguf.optionalString(key("rope.scaling.type")) ?? "none"
        guard kind == "none" || kind == "linear" else {
            throw unsupported(
                key("rope.scaling.type"), "rope scaling \"\(printable(kind))\" is not supported; none and linear are")
        }
        var scaling = try optionalDouble("rope.scale_linear") ?? 1
        if kind == "linear" { scaling = try gguf.double(key("rope.scaling.factor")) }
        let dims = try optionalInteger("rope.dimension_count") ?? headDim
        guard dims == headDim else {
            throw unsupported(
                key("rope.dimension_count"), "\(dims) of the \(headDim) dimensions of a head are rotated; all have to be")
        }
        return .rope(
            base: try optionalDouble("rope.freq_base") ?? 10_000, scaling: scaling, dims: dims, interleaved: interleaved)
    }

    /// Divisors of the rotary frequencies; empty if there are none.
    func ropeFactors() throws(FormatError) -> [Float] {
        guard let factors = gguf.tensor(Self.ropeFactorsName) else { return [] }
        guard factors.format == .f32, factors.dimensions.count == 1, factors.dimensions[0] <= 1 << 10 else {
            throw unsupported(Self.ropeFactorsName, "is not a short list of floats")
        }
        let bytes = gguf.bytes(of: factors)
        return (0..<factors.dimensions[0]).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }

    /// A tensor that is part of the configuration.
    static let ropeFactorsName = "rope_freqs.weight"
}
