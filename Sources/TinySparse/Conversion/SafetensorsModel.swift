// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The tensors of a model in a directory: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists.
package struct SafetensorsModel: Sendable {
    /// The directory.
    package let path: String
    package let shards: [Safetensors]
    /// The shard of each tensor.
    private let shardOf: [String: Int]

    /// Opens one file, or all shards of a directory.
    /// - Throws: `FormatError` naming the file.
    package init(path: String) throws(FormatError) {
        guard isDirectory(path) else {
            try self.init(path: path, files: [path])
            return
        }
        let single = path + "/model.safetensors", index = single + ".index.json"
        if fileExists(single) {  // Transformers prefers it to an index.
            try self.init(path: path, files: [single])
        } else if fileExists(index) {
            try self.init(path: path, files: Self.files(ofIndex: index).map { path + "/" + $0 })
        } else {
            throw Self.noWeights(in: path)
        }
    }

    /// Says which weights there are instead.
    private static func noWeights(in path: String) -> FormatError {
        let others = [
            ("adapter_model.safetensors", "the weights of an adapter; merge it with its model first"),
            ("pytorch_model.bin", "weights of PyTorch; save the model as safetensors"),
            ("pytorch_model.bin.index.json", "weights of PyTorch; save the model as safetensors"),
            ("consolidated.00.pth", "weights of PyTorch; convert the model to the format of Transformers"),
        ]
        let other = others.first { fileExists(path + "/" + $0.0) }
        let what = other.map { "; there is \($0.0), \($0.1)" } ?? "; the folder is incomplete, or the wrong one"
        return FormatError(
            .missing, path: path, item: "model.safetensors", "is not there, and neither is its index\(what)")
    }

    /// One file in memory.
    init(_ file: MappedFile) throws(FormatError) {
        try self.init(path: file.path, shards: [Safetensors(file)])
    }

    private init(path: String, files: [String]) throws(FormatError) {
        try self.init(path: path, shards: files.map { file throws(FormatError) in try Safetensors(path: file) })
    }

    private init(path: String, shards: [Safetensors]) throws(FormatError) {
        var shardOf: [String: Int] = [:]
        for (number, shard) in shards.enumerated() {
            for tensor in shard.tensors {
                guard shardOf.updateValue(number, forKey: tensor.name) == nil else {
                    throw FormatError(
                        .malformed, path: shard.file.path, item: tensor.name,
                        "the tensor is also in another shard")
                }
            }
        }
        self.path = path
        self.shards = shards
        self.shardOf = shardOf
    }

    /// The tensor called `name` and the file it is in.
    package func tensor(_ name: String) -> (shard: Safetensors, tensor: Safetensors.Tensor)? {
        guard let number = shardOf[name], let tensor = shards[number].tensor(name) else { return nil }
        return (shards[number], tensor)
    }

    /// The names of the shards, sorted. They stay inside the directory.
    private static func files(ofIndex path: String) throws(FormatError) -> [String] {
        guard let map = try JSON.read(path: path)["weight_map"]?.object else {
            throw FormatError(.malformed, path: path, item: "weight_map", "is not a JSON object")
        }
        var names: Set<String> = []
        for (tensor, value) in map {
            guard let name = value.string, name.hasSuffix(".safetensors"), !name.contains("/"),
                !name.contains("\0")
            else {
                throw FormatError(
                    .malformed, path: path, item: tensor,
                    "its shard is not the name of a .safetensors file in the same directory")
            }
            names.insert(name)
            guard names.count <= 1000 else {
                throw FormatError(.unsupported, path: path, "lists more than 1000 shards")
            }
        }
        guard !names.isEmpty else {
            throw FormatError(.malformed, path: path, item: "weight_map", "lists no shard")
        }
        return names.sorted()
    }
}
