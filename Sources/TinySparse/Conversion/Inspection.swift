import TinyFormats
import TinySupport
import TinyTokenizer

// What a model says of itself, read without touching its weights.

extension ModelConfig {
    /// The configuration of a model in any format this package reads.
    /// - Throws: `FormatError`.
    package init(path: String) throws(FormatError) {
        self = isNativeModel(path)
            ? try ModelConfig(native: GGUF(path: path)) : try openSource(path).config
    }
}

extension TokenizerSpec {
    /// The vocabulary of a model in any format this package reads.
    /// - Throws: `FormatError`.
    package init(path: String) throws(FormatError) {
        self = isNativeModel(path)
            ? try TokenizerSpec(gguf: GGUF(path: path)) : try openSource(path).tokenizerSpec()
    }
}
