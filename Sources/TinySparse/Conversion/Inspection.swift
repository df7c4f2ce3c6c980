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
            self = try Converter(openSource(path), readsWeights: false).config
        }
    }
}

extension TokenizerSpec {
    /// The vocabulary of a model in any format this package reads, or of a file or folder that holds no more than a
    /// vocabulary. Neither weights nor architecture are looked at.
    /// - Throws: `FormatError`.
    package init(path: String) throws(FormatError) {
        if isDirectory(path) {
            self = try TokenizerSpec(directory: path)
            return
        }
        let file = try MappedFile(path: path)
        if !GGUF.matches(file), path.hasSuffix(".safetensors") {
            self = try TokenizerSpec(directory: directory(of: path))
            return
        }
        let gguf = try GGUF(file)
        self = gguf.isNativeModel ? try TokenizerSpec(gguf: gguf) : try TokenizerSpec(source: gguf)
    }
}
