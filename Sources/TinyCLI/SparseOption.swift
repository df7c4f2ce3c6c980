import TinyRuntime
import TinySupport

extension Sparsity {
    static let forms = "off; auto: as the model's predictors say; SHARE: skip this share of the neurons"

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
        switch (text, Double(text)) {
        case ("off", _): self = .off
        case ("auto", _): self = .predicted(heads: heads)
        case (_, let share?) where 0...1 ~= share: self = .keep(1 - share, heads: heads)
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

/// What --lm-head-screen asks for.
enum HeadScreenOption {
    static let name = "lm-head-screen"

    /// Without the option, what is sparse is screened too; a model without a screen computes all rows.
    /// - Throws: `Failure.usage`.
    static func isOn(_ arguments: Arguments, _ sparsity: Sparsity) throws(Failure) -> Bool {
        switch arguments.string(name) {
        case "on": return true
        case "off": return false
        case let other?: throw .usage("--\(name) \(escaped(other, limit: 80)): on or off is needed")
        case nil:
            if case .off = sparsity { return false }
            return true
        }
    }

    /// - Throws: `Failure.problem` if a screen is asked for and the model has none.
    static func check(_ arguments: Arguments, _ model: Model) throws(Failure) {
        guard arguments.string(name) == "on", model.config.predictors.screen == nil else { return }
        throw .problem(
            "\(escaped(model.config.name)) has no screen of its output matrix; "
                + "make one with tinysparse train-predictors, or leave --\(name) out")
    }
}

extension ScreenActivity {
    /// For people.
    var text: String {
        "output rows: \(fixed(rowsPerToken, 0)) for a token, all for \(fixed(100 * denseShare, 1)) % of them"
    }
    var json: JSON {
        .object([("tokens", .number(tokens)), ("dense_tokens", .number(dense)), ("rows_per_token", .double(rowsPerToken))])
    }
}

extension ScreenQuality {
    /// For people.
    var text: String {
        "screened output: the same best token for \(fixed(100 * agreement, 2)) % of \(tokens) tokens, "
            + "\(fixed(rowsPerToken, 0)) rows for a token, all for \(fixed(100 * denseShare, 2)) % of them"
    }
    var json: JSON {
        .object([
            ("tokens", .number(tokens)), ("agreement", .double(agreement)), ("dense_share", .double(denseShare)),
            ("rows_per_token", .double(rowsPerToken)),
        ])
    }
}
