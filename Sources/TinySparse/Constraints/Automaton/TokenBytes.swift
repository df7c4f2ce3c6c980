// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The texts of a vocabulary's tokens, as a tree: tokens that begin alike share nodes, so that a byte which cannot come
/// rules all of them out at once. Immutable; made once for a model.
package final class TokenBytes: Sendable {
    /// A node: all tokens below it begin with the same bytes. In the order of a walk that goes down first.
    struct Node: Sendable {
        /// Bytes from the root to here.
        let depth: Int32
        /// The node after all of those below this one.
        let end: Int32
        /// In `tokens`, the first of those whose text ends here; they go to the first of the next node.
        let firstToken: Int32
        let byte: UInt8
    }

    let nodes: [Node]
    /// Ids in the order of their texts.
    let tokens: [Int32]
    /// The tokens that end a text, ascending.
    let ends: [Int32]
    private let bytes: [UInt8]
    private let starts: [Int32]

    /// The number of ids.
    package var count: Int { starts.count - 1 }

    /// - Parameters:
    ///   - texts: by id; empty for tokens that stand for no text, which a constraint never allows.
    ///   - ends: the ids of tokens that end a text.
    /// - Complexity: O(bytes * log tokens).
    package init(_ texts: [[UInt8]], ends: [Int32]) {
        self.ends = ends.filter { texts.indices.contains(Int($0)) }.sorted()
        bytes = Array(texts.joined())
        starts = texts.reduce(into: [0]) { $0.append($0[$0.count - 1] + Int32($1.count)) }
        let tokens = texts.indices.filter { !texts[$0].isEmpty }.sorted {
            texts[$0] == texts[$1] ? $0 < $1 : texts[$0].lexicographicallyPrecedes(texts[$1])
        }
        var nodes: [(depth: Int, end: Int, firstToken: Int, byte: UInt8)] = []
        /// The nodes on the way to the last text.
        var path: [Int] = []
        func close(to depth: Int) {
            while path.count > depth { nodes[path.removeLast()].end = nodes.count }
        }
        for (i, token) in tokens.enumerated() {
            let text = texts[token], last = i > 0 ? texts[tokens[i - 1]] : []
            let common = text.commonPrefix(with: last)
            close(to: common)
            for depth in common..<text.count {
                path.append(nodes.count)
                nodes.append((depth + 1, 0, i, text[depth]))
            }
        }
        close(to: 0)
        self.nodes = nodes.map {
            Node(depth: Int32($0.depth), end: Int32($0.end), firstToken: Int32($0.firstToken), byte: $0.byte)
        }
        self.tokens = tokens.map { Int32($0) }
    }

    /// The tokens whose text ends at a node.
    @inline(__always)
    func tokens(at node: Int) -> ArraySlice<Int32> {
        let end = node + 1 < nodes.count ? Int(nodes[node + 1].firstToken) : tokens.count
        return tokens[Int(nodes[node].firstToken)..<end]
    }

    /// The text of a token; empty for an id that is none.
    @inline(__always)
    func text(_ id: Int32) -> ArraySlice<UInt8> {
        guard id >= 0, id < count else { return [] }
        return bytes[Int(starts[Int(id)])..<Int(starts[Int(id) + 1])]
    }
}
