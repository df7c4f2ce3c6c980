// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// What a conversion is doing.
public enum ConversionEvent: Sendable {
    /// About to convert a tensor.
    case tensor(String, number: Int, of: Int)
    /// A warning.
    case note(String)
}

/// Called as a conversion goes on; returning false ends the conversion.
public typealias ConversionProgress = (ConversionEvent) -> Bool

/// Converts a model to a native file, one tensor after another.
///
/// The output appears under its name only when it is complete; on an error
/// nothing is left behind and a file that had the name stays as it was. Memory:
/// one converted tensor. Cost: O(weights), on all cores.
/// - Parameters:
///   - input: a .gguf file, a directory with `config.json`, safetensors weights and
///     `tokenizer.json`, or a .safetensors file in such a directory.
///   - output: the native file to write.
///   - weights: how matrices are stored.
///   - predictors: a folder with predictors for the model that were trained elsewhere, see `docs/SPARSITY.md`.
/// - Throws: `FormatError`, of the kind `stopped` if `progress` ends it.
public func convert(
    _ input: String, to output: String, weights: WeightFormat = .int8, predictors: String? = nil,
    progress: ConversionProgress = { _ in true }
) throws(FormatError) {
    var source = try openSource(input)
    if let predictors { source = try PredictedSource(source, PredictorFolder(path: predictors)) }
    let converter = try Converter(source, weights: weights)
    let file = try AtomicFile(path: output)
    try converter.run(into: file, progress: progress)
    try file.commit()
}

/// Makes the native file of a source checkpoint in memory.
///
/// Memory: the size of the native file, about one byte per weight.
/// - Throws: `FormatError`, of the kind `stopped` if `progress` ends it.
package func nativeImage(
    _ input: String, progress: ConversionProgress = { _ in true }
) throws(FormatError) -> MappedFile {
    try nativeImage(openSource(input), progress: progress)
}

/// Makes the native file of a source checkpoint in GGUF in memory.
/// - Throws: `FormatError`, of the kind `stopped` if `progress` ends it.
package func nativeImage(
    _ gguf: GGUF, progress: ConversionProgress = { _ in true }
) throws(FormatError) -> MappedFile {
    try nativeImage(GGUFSource(gguf), progress: progress)
}

/// Makes the native file of a Hugging Face model whose files are in memory.
/// - Throws: `FormatError`.
package func nativeImage(
    config: MappedFile, tokenizer: [UInt8], weights: MappedFile
) throws(FormatError) -> MappedFile {
    try nativeImage(HuggingFaceSource(config: config, tokenizer: tokenizer, weights: weights)) { _ in true }
}

private func nativeImage(
    _ source: any ModelSource, progress: ConversionProgress
) throws(FormatError) -> MappedFile {
    let memory = MemorySink(name: source.path)
    try Converter(source).run(into: memory, progress: progress)
    return memory.sealed()
}
