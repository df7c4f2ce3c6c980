// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyConstraints
import TinyFormats
import TinySupport
import TinyTokenizer

/// A model, read-only: weights, configuration and tokenizer. Sessions on any number of threads may
/// share one.
///
///     let model = try Model(path: "smollm2.gguf")
///     let session = try Session(model)
///     try session.generate("Once upon a time") { print($0, terminator: ""); return true }
public final class Model: Sendable {
    /// Shapes and kinds of layers.
    public let config: ModelConfig
    /// Text to token ids and back.
    public let tokenizer: Tokenizer
    /// Where the weights are; kept for their lifetime.
    package let file: NativeModelFile
    package let weights: Weights
    private let lazyTokenBytes = LazyTokenBytes()
    /// What constraints need to know of the vocabulary.
    package var tokenBytes: TokenBytes { lazyTokenBytes.value(tokenizer, size: config.vocabularySize) }

    /// Uses a file that is open already.
    /// - Throws: `FormatError`, also for a vocabulary that cannot be used.
    package init(_ file: NativeModelFile) throws(FormatError) {
        self.file = file
        config = file.config
        let spec = try file.tokenizerSpec()
        do throws(TokenizerError) {
            tokenizer = try Tokenizer(spec)
        } catch {
            throw FormatError(.unsupported, path: file.path, error.description)
        }
        weights = try Weights(file)
    }

    /// Bytes of weights that one token of dense decoding reads.
    public var bytesPerToken: Int {
        let layers = weights.layers.reduce(0) { $0 + $1.matrices.reduce(0) { $0 + $1.bytes } }
        return layers + weights.head.bytes
    }
}
