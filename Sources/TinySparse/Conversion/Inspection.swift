// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

// What a model says of itself, read without touching its weights.

extension ModelConfig {
    /// The configuration of a model in any format this package reads, of which all tensors were found.
    /// - Throws: `FormatError`.
    package init(path: String) throws(FormatError) {
        if let native = GGUF.nativeModel(at: path) {
            self = try ModelConfig(native: native)
        } else {
            self = try Converter(openSource(path)).config
        }
    }
}

extension TokenizerSpec {
    /// The vocabulary of a model in any format this package reads.
    /// - Throws: `FormatError`.
    package init(path: String) throws(FormatError) {
        if let native = GGUF.nativeModel(at: path) {
            self = try TokenizerSpec(gguf: native)
        } else {
            self = try openSource(path).tokenizerSpec()
        }
    }
}
