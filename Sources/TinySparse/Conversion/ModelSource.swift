// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinySupport
import TinyTokenizer

/// A source checkpoint: a model in another format than the native one. Of classes, since Embedded Swift has existentials of
/// no others.
protocol ModelSource: AnyObject {
    /// What the user named.
    var path: String { get }
    var config: ModelConfig { get }
    /// Where its tensors are.
    var map: TensorMap { get }
    /// Constant factors to multiply into the weights.
    var scales: FoldedScales { get }
    /// How the matrices of layers are coded.
    var coding: WeightCoding { get }
    /// All tensors, under the names the checkpoint gives them.
    var tensorNames: [String] { get }
    /// The tensor that the checkpoint calls `name`, or nil if there is none.
    func tensor(_ name: String) -> SourceTensor?
    /// The vocabulary, for checks.
    func tokenizerSpec() throws(FormatError) -> TokenizerSpec
    /// Writes the vocabulary and where the model comes from.
    func writeMetadata(to writer: inout GGUFWriter) throws(FormatError)
}

/// A tensor of a source checkpoint, in place.
struct SourceTensor {
    /// The file it is in, which may be a shard.
    let file: MappedFile
    /// Its name there.
    let name: String
    /// Outermost dimension first.
    let shape: [Int]
    /// The type's name, for messages.
    let typeName: String
    /// Nil for types that cannot be read.
    let format: BlockFormat?
    let bytes: UnsafeRawBufferPointer
    /// Where the bytes start in the file.
    let offset: Int

    /// The file's path, for messages.
    var path: String { file.path }

    func error(_ kind: FormatError.Kind, _ message: String) -> FormatError {
        FormatError(kind, path: path, item: name, offset: offset, message)
    }
}

extension SourceTensor {
    init(_ tensor: Safetensors.Tensor, of file: Safetensors) {
        self.init(
            file: file.file, name: tensor.name, shape: tensor.shape, typeName: tensor.typeName,
            format: tensor.format, bytes: file.bytes(of: tensor), offset: tensor.range.lowerBound)
    }
}

/// Opens the source checkpoint at `path`: a .gguf file, a directory with `config.json`,
/// weights and `tokenizer.json`, or a .safetensors file in such a directory.
/// - Throws: `FormatError`; also for native files, which need no conversion.
func openSource(_ path: String) throws(FormatError) -> any ModelSource {
    if isDirectory(path) { return try HuggingFaceSource(directory: path, weights: path) }
    let file = try MappedFile(path: path)
    if !GGUF.matches(file), path.hasSuffix(".safetensors") {
        return try HuggingFaceSource(directory: directory(of: path), weights: path)
    }
    let gguf = try GGUF(file)
    guard !gguf.isNativeModel else {
        throw FormatError(
            .unsupported, path: path, item: ModelConfig.nativeFormatKey,
            "is a native file already; use it as it is")
    }
    return try GGUFSource(gguf)
}
