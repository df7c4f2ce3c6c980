// SPDX-License-Identifier: Apache-2.0

/// A recursive transition network over bytes: for each rule a nondeterministic automaton, whose steps read a byte, read
/// nothing, or call a rule and go on where it ends.
///
/// Source: Woods: Transition network grammars for natural language analysis, 1970 (doi:10.1145/355598.362773).
struct TransitionNetwork: Sendable {
    enum Node: Sendable {
        /// Reads a byte, by one of these `edges`.
        case bytes(Range<Int32>)
        /// Reads nothing, and goes on at each of these `targets`.
        case split(Range<Int32>)
        /// Goes on at `next` after the rule.
        case call(rule: Int32, next: Int32)
        /// The end of a rule.
        case end
    }

    struct Edge: Hashable, Sendable {
        var low: UInt8
        var high: UInt8
        var target: Int32
    }

    /// The node in which every rule ends.
    static let end: Int32 = 0

    var nodes = [Node.end]
    var edges: [Edge] = []
    var targets: [Int32] = []
    /// The first node of each rule; a text begins in that of rule 0.
    var entries: [Int32] = []
    /// Bytes that no edge tells apart are of one class.
    private(set) var classOfByte: [UInt8] = []
    /// A byte of each class.
    private(set) var byteOfClass: [UInt8] = []

    /// Numbers the classes, when all edges are there.
    mutating func classifyBytes() {
        var isFirst = Array(repeating: false, count: 257)
        isFirst[0] = true
        for edge in edges {
            isFirst[Int(edge.low)] = true
            isFirst[Int(edge.high) + 1] = true
        }
        for byte in 0..<256 {
            if isFirst[byte] { byteOfClass.append(UInt8(byte)) }
            classOfByte.append(UInt8(byteOfClass.count - 1))
        }
    }
}
