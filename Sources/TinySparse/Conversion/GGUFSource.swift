// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// A GGUF file made by the converters of llama.cpp.
struct GGUFSource: ModelSource {
    let gguf: GGUF
    let config: ModelConfig
    let map: TensorMap

    /// Most bytes of metadata copied to a native file.
    private static let metadataLimit = 1 << 28

    init(_ gguf: GGUF) throws(FormatError) {
        let source = try SourceConfig(gguf: gguf)
        self.gguf = gguf
        config = source.config
        map = source.architecture.ggufTensors
    }

    var path: String { gguf.path }
    var tensorNames: [String] { gguf.tensors.map { $0.name } }

    func tensor(_ name: String) -> SourceTensor? {
        guard let tensor = gguf.tensor(name) else { return nil }
        return SourceTensor(
            path: path, name: name, shape: tensor.dimensions.reversed(),
            typeName: tensor.format?.name ?? "number \(tensor.typeNumber)", format: tensor.format,
            bytes: gguf.bytes(of: tensor), offset: tensor.range.lowerBound)
    }

    func tokenizerSpec() throws(FormatError) -> TokenizerSpec { try TokenizerSpec(gguf: gguf) }

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
