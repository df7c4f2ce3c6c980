// SPDX-License-Identifier: Apache-2.0

/// Why a template cannot be run, and where.
public struct TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The class of a problem, for programs; the reason is for people.
    public enum Kind: Sendable, Equatable {
        /// The text is no template.
        case syntax
        /// A template in good order that uses something this interpreter does not have.
        case unsupported
        /// The template refuses its inputs by calling `raise_exception`.
        case raised
        /// Something that is not defined is used as if it were.
        case undefined
        /// A value has another type than an operation needs.
        case type
        /// A value is outside the range of an operation: a division by zero, an overflow.
        case value
        /// The template needs more work, memory or nesting than `TemplateLimits` allow.
        case limit
        /// The conversation or an argument is nothing that a template can be given.
        case input
    }

    /// The class of the problem.
    public var kind: Kind
    /// The line of the template, from 1; 0 for a problem of its inputs.
    public var line: Int
    /// What is wrong and what to do.
    public var reason: String

    init(_ kind: Kind, line: Int, _ reason: String) {
        self.kind = kind
        self.line = line
        self.reason = reason
    }

    package init(input reason: String) { self.init(.input, line: 0, reason) }

    /// `line n: reason`
    public var description: String { line > 0 ? "line \(line): \(reason)" : reason }
}

/// How much a template may do. A template is a program out of a file that nobody has checked.
public struct TemplateLimits: Sendable {
    /// The work of a rendering, in units of one character copied. Evaluating a part of an expression and making an
    /// element of a list count as several, so that neither time nor memory (4 bytes for each unit, counted from the
    /// beginning to the end) can get out of hand.
    public var work = 128 << 20
    /// The characters of the rendered text.
    public var output = 16 << 20
    /// The nesting of expressions, statements and macro calls while they run.
    public var depth = 150

    /// The defaults above.
    public init() {}

    /// The nesting of statements and of parentheses in the source.
    static let sourceDepth = 100
    /// The nesting of lists and dictionaries.
    static let valueDepth = 100
    /// The size of a template's source in bytes.
    static let sourceBytes = 1 << 20
    /// The characters of a name, which is looked up without counting them.
    static let nameLength = 1000
    /// The numbers of a range, as in Jinja's sandbox.
    static let range = 100_000
}
