// SPDX-License-Identifier: Apache-2.0

/// An expression of a template. Chains of operators are flat, so that only brackets make the tree deep.
struct Expression: Sendable {
    let line: Int
    let kind: Kind

    indirect enum Kind: Sendable {
        case none
        case bool(Bool)
        case integer(Int)
        case double(Double)
        case string(Text)
        case name(String)
        case list([Expression])
        case tuple([Expression])
        case dictionary([(key: Expression, value: Expression)])
        case and([Expression])
        case or([Expression])
        case not(Expression)
        case negative(Expression)
        case positive(Expression)
        /// `first` and, from left to right, what is computed with it.
        case arithmetic(first: Expression, [(operation: Arithmetic, operand: Expression)])
        case concat([Expression])
        case compare(first: Expression, [(comparison: Comparison, operand: Expression)])
        case conditional(Expression, if: Expression, else: Expression?)
        /// `first` and, from left to right, what is done to it.
        case postfix(first: Expression, [Postfix])
    }
}

enum Arithmetic { case add, subtract, multiply, divide, floorDivide, remainder, power }

enum Comparison { case equal, notEqual, less, atMost, greater, atLeast, isIn, isNotIn }

/// What follows a value: `.name`, `[key]`, `[a:b]`, `(arguments)`, `| filter`, `is test`.
struct Postfix: Sendable {
    let line: Int
    let kind: Kind

    enum Kind: Sendable {
        case attribute(String)
        case item(Expression)
        case slice(from: Expression?, to: Expression?, step: Expression?)
        case call(Arguments)
        case filter(FilterCall)
        case test(TestCall, isNegated: Bool)
    }

    /// The arguments of a call as they are written.
    struct Arguments: Sendable {
        var positional: [Expression] = []
        var named: [(name: String, value: Expression)] = []
        /// `*list` and `**dictionary`.
        var list: Expression?
        var dictionary: Expression?
    }
}

struct FilterCall: Sendable {
    let line: Int
    let name: String
    /// nil for a filter that does not exist, which is an error only where it is reached.
    let filter: Filter?
    let arguments: Postfix.Arguments
}

struct TestCall: Sendable {
    let name: String
    /// nil for a test that does not exist, which is an error only where it is reached.
    let test: ValueTest?
    let arguments: Postfix.Arguments
}

/// What a value is assigned to.
indirect enum Target: Sendable {
    case name(String)
    case tuple([Target])
    case attribute(of: String, String)
}

struct Statement: Sendable {
    let line: Int
    let kind: Kind

    indirect enum Kind: Sendable {
        case data(Text)
        case output(Expression)
        case conditional([(condition: Expression, body: [Statement])], otherwise: [Statement])
        case loop(LoopStatement)
        case set(Target, Expression)
        case setBlock(Target, [FilterCall], Body)
        case macro(MacroStatement)
        case call(MacroStatement, Expression)
        case filter([FilterCall], Body)
        case with([(target: Target, value: Expression)], Body)
        case generation(Body)
        case exit(LoopExit)
    }
}

/// Statements with variables of their own.
struct Body: Sendable {
    let statements: [Statement]
    /// Which of the template's scopes they are.
    let scope: Int
}

enum LoopExit { case leave, next }

struct LoopStatement: Sendable {
    let target: Target
    let sequence: Expression
    let condition: Expression?
    let body: Body
    let otherwise: Body
}

/// A macro, or the body of a call block, which is a macro without a name.
struct MacroStatement: Sendable {
    let name: String?
    let parameters: [String]
    /// The defaults of the last parameters.
    let defaults: [Expression]
    let body: Body
    /// The special variables that the body uses, and so the macro accepts.
    let uses: SpecialNames

    struct SpecialNames {
        var caller = false
        var keywords = false
        var positional = false
    }
}
