import TinyFormats
import TinyRuntime
import TinySupport

extension Sparsity {
    static let forms = "off; auto: as the model's predictors say; SHARE: skip this share of the neurons"

    /// The values of --sparsity and --head-sparsity.
    /// - Throws: `Failure.usage`.
    init(_ arguments: Arguments) throws(Failure) {
        let heads = try arguments.isOn("head-sparsity") ?? true
        let text = arguments.string("sparsity") ?? "auto"
        switch (text, Double(text)) {
        case ("off", _): self = .off
        case ("auto", _): self = .predicted(heads: heads)
        case (_, let share?) where 0...1 ~= share: self = .keep(1 - share, heads: heads)
        default: throw arguments.invalid("sparsity", "one of: \(Self.forms)")
        }
    }

    var isOff: Bool {
        if case .off = self { true } else { false }
    }

    /// Whether a share was requested, which a model without predictors would silently ignore.
    var needsPredictors: Bool {
        if case .keep = self { true } else { false }
    }
}

/// The option --lm-head-screen: low-rank logit screening.
enum LMHeadScreenOption {
    static let name = "lm-head-screen"

    /// The default is on unless --sparsity is off; a model without a screen computes all logits.
    /// - Throws: `Failure.usage`.
    static func isOn(_ arguments: Arguments, _ sparsity: Sparsity) throws(Failure) -> Bool {
        try arguments.isOn(name) ?? !sparsity.isOff
    }

    /// - Throws: `Failure.problem` if a screen is requested and the model has none.
    static func check(_ arguments: Arguments, _ model: Model) throws(Failure) {
        guard arguments.string(name) == "on", model.config.predictors.screen == nil else { return }
        throw .problem(
            "\(escaped(model.config.name)) has no screen for its logits; "
                + "train one with tinysparse train-predictors, or omit --\(name)")
    }
}

extension ScreenActivity {
    /// For human readers.
    var text: String {
        "logit screening: \(fixed(rowsPerToken, 0)) exact logits per token, all for \(fixed(100 * denseShare, 1)) % of tokens"
    }
    var json: JSON {
        .object([("tokens", .number(tokens)), ("dense_tokens", .number(dense)), ("rows_per_token", .double(rowsPerToken))])
    }
}

extension ScreenQuality {
    /// For human readers.
    var text: String {
        "logit screening: same argmax for \(fixed(100 * agreement, 2)) % of \(tokens) tokens, "
            + "\(fixed(rowsPerToken, 0)) exact logits per token, all for \(fixed(100 * denseShare, 2)) % of tokens"
    }
    var json: JSON {
        .object([
            ("tokens", .number(tokens)), ("agreement", .double(agreement)), ("dense_share", .double(denseShare)),
            ("rows_per_token", .double(rowsPerToken)),
        ])
    }
}
