// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// A directory as the Hugging Face hub serves it.
struct HuggingFaceSource: ModelSource {
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
        spec = try Self.readTokenizer(directory)
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
        spec = try Self.naming("tokenizer.json") { () throws(TokenizerError) in
            try TokenizerSpec(huggingFaceTokenizerJSON: tokenizer)
        }
    }

    var path: String { model.path }
    var tensorNames: [String] { model.shards.flatMap { $0.tensors.map { $0.name } } }

    func tensor(_ name: String) -> SourceTensor? {
        guard let (shard, tensor) = model.tensor(name) else { return nil }
        return SourceTensor(
            file: shard.file, name: name, shape: tensor.shape, typeName: tensor.typeName,
            format: tensor.format, bytes: shard.bytes(of: tensor), offset: tensor.range.lowerBound)
    }

    func tokenizerSpec() -> TokenizerSpec { spec }

    func writeMetadata(to writer: inout GGUFWriter) { spec.write(to: &writer) }

    /// The vocabulary in `tokenizer.json`, and what the files beside it say of it.
    private static func readTokenizer(_ directory: String) throws(FormatError) -> TokenizerSpec {
        func read(_ name: String) throws(FormatError) -> [UInt8] {
            let file = try MappedFile(path: directory + "/" + name)
            guard file.size <= 1 << 25 else {
                throw FormatError(
                    .unsupported, path: file.path, "has \(file.size) bytes; 32 MiB are supported")
            }
            return file.contents
        }
        func optional(_ name: String) throws(FormatError) -> [UInt8]? {
            fileExists(directory + "/" + name) ? try read(name) : nil
        }
        try requireTokenizer(directory)
        let path = directory + "/tokenizer.json"
        let json = try read("tokenizer.json")
        let config = try optional("tokenizer_config.json")
        var spec = try naming(path) { () throws(TokenizerError) in
            try TokenizerSpec(huggingFaceTokenizerJSON: json, config: config)
        }
        // As in transformers, the file of its own counts.
        if let template = try optional("chat_template.jinja") {
            guard let text = String(validating: template, as: UTF8.self) else {
                throw FormatError(.malformed, path: directory + "/chat_template.jinja", "is not UTF-8 text")
            }
            spec.chatTemplate = text
        }
        for name in ["config.json", "generation_config.json"] where fileExists(directory + "/" + name) {
            try readIDs(of: directory + "/" + name, into: &spec)
        }
        _ = try naming(path) { () throws(TokenizerError) in try Tokenizer(spec) }
        return spec
    }

    /// What `body` returns, its errors naming the file.
    private static func naming<T>(
        _ path: String, _ body: () throws(TokenizerError) -> T
    ) throws(FormatError) -> T {
        do { return try body() } catch { throw FormatError(.unsupported, path: path, "\(error)") }
    }

    /// - Throws: an error that says what to do with the tokenizer that is there instead.
    private static func requireTokenizer(_ directory: String) throws(FormatError) {
        guard !fileExists(directory + "/tokenizer.json") else { return }
        let others = [
            ("tokenizer.model", "a SentencePiece model"),
            ("vocab.json", "the vocabulary of an older kind of tokenizer"),
            ("tekken.json", "a tokenizer of mistral-common"),
        ]
        guard let (name, kind) = others.first(where: { fileExists(directory + "/" + $0.0) }) else { return }
        throw FormatError(
            .missing, path: directory + "/tokenizer.json",
            "is missing; there is \(name), \(kind), which cannot be read; write tokenizer.json in Python: "
                + "transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)")
    }

    /// Which tokens begin and end a text, by the ids in a configuration; all that end one count.
    private static func readIDs(of path: String, into spec: inout TokenizerSpec) throws(FormatError) {
        let json = try JSON.read(path: path, limit: 1 << 20)
        func ids(_ key: String) -> [Int32] {
            let values = json[key]?.array ?? json[key].map { [$0] } ?? []
            return values.compactMap { value in
                if value.isNull { return nil }
                if let id = value.integer, 0 <= id, id < spec.tokens.count { return Int32(id) }
                let file = path.split(separator: "/").last ?? ""
                spec.notes.append(
                    "\(file): \(key) \(printable(value.compact)) is no token of the vocabulary; it is ignored")
                return nil
            }
        }
        let (begins, ends) = (ids("bos_token_id"), ids("eos_token_id"))
        spec.bos = spec.bos ?? begins.first
        spec.eos = spec.eos ?? ends.first
        for id in ends where id != spec.eos && !spec.endOfGeneration.contains(id) { spec.endOfGeneration.append(id) }
    }
}
