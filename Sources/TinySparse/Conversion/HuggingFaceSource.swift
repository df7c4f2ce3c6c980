// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// A directory as the Hugging Face hub serves it.
final class HuggingFaceSource: ModelSource {
    let directory: String
    let config: ModelConfig
    let map: TensorMap
    let scales: FoldedScales
    let coding: WeightCoding
    private let model: SafetensorsModel
    private let spec: TokenizerSpec

    init(directory: String, weights: String) throws(FormatError) {
        let source = try SourceConfig(huggingFace: directory + "/config.json")
        let model = try SafetensorsModel(path: weights)
        self.directory = directory
        config = source.config
        map = source.architecture.huggingFaceTensors(source.config).fitting { model.tensor($0) != nil }
        scales = source.scales
        coding = source.coding
        self.model = model
        spec = try TokenizerSpec(directory: directory)
    }

    /// The same from files in memory.
    init(config: MappedFile, tokenizer: [UInt8], weights: MappedFile) throws(FormatError) {
        let source = try SourceConfig(ConfigFields(config))
        let model = try SafetensorsModel(weights)
        directory = config.path
        self.config = source.config
        scales = source.scales
        coding = source.coding
        map = source.architecture.huggingFaceTensors(source.config).fitting { model.tensor($0) != nil }
        self.model = model
        spec = try TokenizerSpec.naming("tokenizer.json") { () throws(TokenizerError) in
            try TokenizerSpec(huggingFaceTokenizerJSON: tokenizer)
        }
    }

    var path: String { model.path }
    var tensorNames: [String] { model.shards.flatMap { $0.tensors.map { $0.name } } }

    func tensor(_ name: String) -> SourceTensor? {
        guard let (shard, tensor) = model.tensor(name) else { return nil }
        return SourceTensor(tensor, of: shard)
    }

    func tokenizerSpec() -> TokenizerSpec { spec }

    func writeMetadata(to writer: inout GGUFWriter) { spec.write(to: &writer) }
}
