// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyTokenizer

// What a model says of itself, read without touching its weights.

extension ModelConfig {
    /// The configuration of a model in any format this package reads.
    /// - Throws: `FormatError`.
    package init(path: String) throws {
        self = try GGUF.nativeModel(at: path).map { try ModelConfig(native: $0) } ?? openSource(path).config
    }
}

extension TokenizerSpec {
    /// The vocabulary of a model in any format this package reads.
    /// - Throws: `FormatError`.
    package init(path: String) throws {
        self = try GGUF.nativeModel(at: path).map { try TokenizerSpec(gguf: $0) } ?? openSource(path).tokenizerSpec()
    }
}
