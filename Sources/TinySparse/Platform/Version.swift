/// What this build calls itself.
package enum TinySparseVersion {
    /// Of the package, as in its git tag.
    package static let string = "0.2.0"
    /// Of the numeric contract (docs/NUMERICS.md): equal numbers mean equal bits.
    package static let numericContract = 1
}
