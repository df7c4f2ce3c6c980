// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// A GGUF file made by the converters of llama.cpp, or the parts of one.
final class GGUFSource: ModelSource {
    private let parts: GGUFParts
    let config: ModelConfig
    let map: TensorMap
    let scales: FoldedScales
    let coding = WeightCoding.plain

    /// Most bytes of metadata copied to a native file.
    private static let metadataLimit = 1 << 28

    init(_ gguf: GGUF) throws(FormatError) {
        parts = try GGUFParts(gguf)
        let source = try SourceConfig(gguf: parts)
        config = source.config
        map = source.architecture.ggufTensors(config)
        scales = source.scales
    }

    /// The file with the metadata.
    private var gguf: GGUF { parts.first }

    var path: String { gguf.path }
    var tensorNames: [String] { parts.files.flatMap { $0.tensors.map { $0.name } } }

    func tensor(_ name: String) -> SourceTensor? {
        guard let (file, tensor) = parts.tensor(name) else { return nil }
        return SourceTensor(
            file: file.file, name: name, shape: tensor.dimensions.reversed(), typeName: tensor.typeName,
            format: tensor.format, bytes: file.bytes(of: tensor), offset: tensor.range.lowerBound)
    }

    func tokenizerSpec() throws(FormatError) -> TokenizerSpec { try TokenizerSpec(source: gguf) }

    func writeMetadata(to writer: inout GGUFWriter) throws(FormatError) {
        // These say something about the file at hand, and the native file its own.
        let own: Set = [
            "general.architecture", "general.name", "general.alignment", "general.file_type",
            "general.quantization_version",
        ]
        let entries = gguf.entries.filter {
            ($0.key.hasPrefix("general.") && !own.contains($0.key)) || $0.key.hasPrefix("tokenizer.")
        }
        guard entries.reduce(0, { $0 + $1.stored.count }) <= Self.metadataLimit else {
            throw FormatError(.unsupported, path: path, "has more than 256 MiB of metadata")
        }
        for entry in entries { writer.copy(entry, from: gguf.file) }
    }
}

extension TokenizerSpec {
    /// The vocabulary of a file made by the converters of llama.cpp, whatever its architecture.
    /// - Throws: `FormatError` naming the key that is missing or not supported.
    init(source gguf: GGUF) throws(FormatError) {
        self = try TokenizerSpec(gguf: gguf)
        let merges = "tokenizer.ggml.merges"
        if model == "gpt2" || model == "gemma4", gguf.entry(merges) == nil { throw gguf.missing(merges) }
        // What llama.cpp does to text, or to logits, and this does not.
        for name in ["precompiled_charsmap", "normalizer.lowercase", "normalizer.strip_accents", "suppress_tokens"] {
            guard let entry = gguf.entry("tokenizer.ggml." + name) else { continue }
            if name == "precompiled_charsmap", model == "t5" { continue }
            let isOff = if let element = entry.element { element.count == 0 } else { try !entry.bool(in: gguf.file) }
            guard isOff else {
                throw FormatError(
                    .unsupported, path: gguf.path, item: entry.key, "a tokenizer with this setting is not supported")
            }
        }
    }
}
