// SPDX-License-Identifier: Apache-2.0

/// A regular expression as a tree. Groups are gone: nothing is captured.
indirect enum ExpressionNode {
    /// One character of a set.
    case set(CodePointSet)
    /// One after the other; without elements, the empty text.
    case sequence([ExpressionNode])
    /// The first that leads to a match.
    case alternatives([ExpressionNode])
    /// As often as possible, or as seldom as possible if `isLazy`.
    case repeated(ExpressionNode, minimum: Int, maximum: Int?, isLazy: Bool)
    /// Whether the text goes on with a match, or does not.
    case ahead(ExpressionNode, isPositive: Bool)
    /// Whether the character before is in a set; before the first there is none, which counts or not.
    case behind(CodePointSet, countsStart: Bool)

    /// Whether the empty text can match.
    var canBeEmpty: Bool {
        switch self {
        case .set: false
        case .sequence(let parts): parts.allSatisfy { $0.canBeEmpty }
        case .alternatives(let parts): parts.contains { $0.canBeEmpty }
        case .repeated(let part, let minimum, _, _): minimum == 0 || part.canBeEmpty
        case .ahead, .behind: true
        }
    }

    /// The set, if the expression is one character of a set.
    var singleSet: CodePointSet? {
        switch self {
        case .set(let set): return set
        case .sequence(let parts): return parts.count == 1 ? parts[0].singleSet : nil
        case .alternatives(let parts):
            var union = CodePointSet.none
            for part in parts {
                guard let set = part.singleSet else { return nil }
                union = union.union(set)
            }
            return union
        case .repeated, .ahead, .behind: return nil
        }
    }

    /// A repetition of characters of a set that takes all it can get and gives nothing back.
    static func possessive(_ set: CodePointSet, minimum: Int, maximum: Int?) -> ExpressionNode {
        let ends = ExpressionNode.ahead(.set(set), isPositive: false)
        guard maximum == 1 else {
            return .sequence([.repeated(.set(set), minimum: minimum, maximum: nil, isLazy: false), ends])
        }
        return .alternatives([.set(set), ends])
    }

    /// Where the character before and the one after are not both of `word`, nor both not.
    static func boundary(of word: CodePointSet) -> ExpressionNode {
        let isBefore = ExpressionNode.behind(word, countsStart: false)
        let isNotBefore = ExpressionNode.behind(word.inverted, countsStart: true)
        return .alternatives([
            .sequence([isBefore, .ahead(.set(word), isPositive: false)]),
            .sequence([isNotBefore, .ahead(.set(word), isPositive: true)]),
        ])
    }

    static var textEnd: ExpressionNode { .ahead(.set(.all), isPositive: false) }
}

/// Why a regular expression cannot be used.
struct ExpressionError: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
