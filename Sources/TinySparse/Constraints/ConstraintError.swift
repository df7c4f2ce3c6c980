// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Why a text cannot be constrained as asked: what is wrong with a schema, an expression or a grammar, and where.
public struct ConstraintError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Where in the source.
    public enum Place: Equatable, Sendable {
        /// Counted from 1, in code points.
        case line(Int, column: Int)
        /// A JSON pointer (RFC 6901) as a fragment: `#/properties/name`.
        case pointer(String)
        /// The source as a whole.
        case everywhere
    }

    /// Where.
    public let place: Place
    /// What is wrong and what to do.
    public let message: String

    package init(_ place: Place, _ message: String) {
        self.place = place
        self.message = message
    }

    /// `line 3, column 7: message`
    public var description: String {
        switch place {
        case .line(let line, let column): "line \(line), column \(column): \(message)"
        case .pointer(let pointer): "\(printable(pointer)): \(message)"
        case .everywhere: message
        }
    }
}

/// Bounds that keep a constraint from taking all memory or time. A typed error names the one that is reached.
enum ConstraintLimits {
    /// Bytes of a source text.
    static let sourceBytes = 1 << 20
    /// Groups in groups.
    static let depth = 64
    /// Steps of a pointer to a schema, with those through schemas that are merged.
    static let steps = 512
    /// Passes over a grammar until nothing new is known of its rules.
    static let passes = 1000
    /// The largest bound of a repetition.
    static let repetitions = 1 << 16
    /// Rules, with those that are made of parts.
    static let rules = 1 << 14
    /// Nodes and edges of the network.
    static let nodes = 1 << 19
    /// Ways to read a text at the same time.
    static let stacks = 1 << 10
    /// Steps that read nothing, between two bytes.
    static let silentSteps = 1 << 16
    /// States and frames that are kept between two tokens.
    static let keptStates = 1 << 10
    static let keptFrames = 1 << 16
    /// States that one token may lead to.
    static let states = 1 << 14
    /// Tokens in the lists that are kept.
    static let keptTokens = 1 << 18
}
