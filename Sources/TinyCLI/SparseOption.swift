import TinySparse

extension Sparsity {
    static let forms = "predicted, predicted:MARGIN, keep:SHARE, oracle:SHARE"

    /// Reads the value of --sparse.
    /// - Throws: `Failure.usage`.
    init(option text: String) throws(Failure) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let number = parts.count == 2 ? Double(parts[1]) : nil
        switch (parts[0], number) {
        case ("off", nil) where parts.count == 1: self = .off
        case ("predicted", nil) where parts.count == 1: self = .predicted()
        case ("predicted", let margin?) where abs(margin) <= 1e6: self = .predicted(margin: Float(margin))
        case ("keep", let share?) where 0...1 ~= share: self = .keep(share)
        case ("oracle", let share?) where 0...1 ~= share: self = .oracle(keep: share)
        default:
            throw .usage("--sparse \(escaped(text, limit: 80)): is none of \(Self.forms); shares are from 0 to 1")
        }
    }

    /// Whether a model without predictors would silently be dense.
    var needsPredictors: Bool {
        switch self {
        case .predicted, .keep: true
        case .off, .oracle, .fixed: false
        }
    }
}
