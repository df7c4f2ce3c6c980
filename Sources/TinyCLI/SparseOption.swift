import TinySparse

extension Sparsity {
    static let forms = "off; auto: as the model's predictors say; SHARE: skip this share of the neurons; oracle:SHARE"

    /// What --sparsity and --head-sparsity ask for.
    /// - Throws: `Failure.usage`.
    init(_ arguments: Arguments) throws(Failure) {
        let heads: Bool
        switch arguments.string("head-sparsity") ?? "on" {
        case "on": heads = true
        case "off": heads = false
        case let other: throw .usage("--head-sparsity \(escaped(other, limit: 80)): on or off is needed")
        }
        let text = arguments.string("sparsity") ?? "auto"
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let share = Double(parts[parts.count - 1]).flatMap { 0...1 ~= $0 ? $0 : nil }
        switch (parts[0], share) {
        case ("off", nil) where parts.count == 1: self = .off
        case ("auto", nil) where parts.count == 1: self = .predicted(heads: heads)
        case ("oracle", let share?) where parts.count == 2: self = .oracle(keep: 1 - share)
        case (_, let share?) where parts.count == 1: self = .keep(1 - share, heads: heads)
        default: throw .usage("--sparsity \(escaped(text, limit: 80)): one of these is needed: \(Self.forms)")
        }
    }

    var isOff: Bool {
        if case .off = self { true } else { false }
    }

    /// Whether a model without predictors would silently be dense, though a share was asked for.
    var needsPredictors: Bool {
        if case .keep = self { true } else { false }
    }
}
