// What a model says of itself, read without touching its weights.

extension ModelConfig {
    /// Weights, biases and norms; a matrix that is used twice counts once. O(layers).
    package var parameterCount: Int {
        nativeParts.reduce(0) { $0 + $1.sourceShape.reduce(1, *) }
    }

    /// Bytes of the cache of keys and values that a token takes.
    package var cacheBytesPerToken: Int { KVCache.bytesPerPosition(self) }
}

#if !hasFeature(Embedded)  // Embedded builds read native files only.
/// True if `path` is a file that runs as it is, without a conversion.
package func isNativeModel(_ path: String) -> Bool {
    guard !isDirectory(path), let file = try? MappedFile(path: path), GGUF.matches(file) else { return false }
    return (try? GGUF(file).entry(ModelConfig.nativeFormatKey)) != nil
}

extension ModelConfig {
    /// The configuration of a model in any format this package reads.
    /// - Throws: `FormatError`.
    package init(path: String) throws {
        self = isNativeModel(path)
            ? try ModelConfig(native: GGUF(path: path)) : try openSource(path).config
    }
}

extension TokenizerSpec {
    /// The vocabulary of a model in any format this package reads.
    /// - Throws: `FormatError`.
    package init(path: String) throws {
        self = isNativeModel(path)
            ? try TokenizerSpec(gguf: GGUF(path: path)) : try openSource(path).tokenizerSpec()
    }
}
#endif
