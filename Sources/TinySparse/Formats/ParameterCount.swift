extension ModelConfig {
    /// Weights, biases and norms; a matrix that is used twice counts once. O(layers).
    package var parameterCount: Int {
        nativeParts.reduce(0) { $0 + $1.sourceShape.reduce(1, *) }
    }
}
