// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A mixture of experts: groups of neurons of which a router chooses some for each token (docs/NUMERICS.md, 9). The neurons
/// of a layer beyond those of the experts are a shared expert, which is always active.
package struct Experts: Sendable, Equatable {
    /// What makes weights of scores.
    package enum Router: String, Sendable { case softmax, sigmoid }

    package var count: Int
    /// Experts that a token uses.
    package var active: Int
    /// Neurons of an expert.
    package var width: Int
    package var router = Router.softmax
    /// Whether the weights of the active experts are made to sum to 1.
    package var normalizes: Bool
    /// The router reads the residual stream as the layer gets it, and not the norm before the MLP.
    package var looksAhead = false
    /// Whether the shared expert has a gate.
    package var gatesShared = false

    package init(count: Int, active: Int, width: Int, normalizes: Bool) {
        self.count = count
        self.active = active
        self.width = width
        self.normalizes = normalizes
    }

    /// - Parameter dFF: neurons of a layer.
    /// - Throws: `FormatError` naming the number that a runtime cannot work with.
    func validate(dFF: Int, path: String) throws(FormatError) {
        guard 1...4096 ~= count, 1...count ~= active, width > 0, count * width <= dFF, dFF - count * width <= dFF,
            !gatesShared || count * width < dFF
        else {
            throw FormatError(
                .malformed, path: path, item: "experts",
                "\(active) of \(count) experts of \(width) neurons do not fit a layer of \(dFF)")
        }
    }
}

// The fields of native files.

extension Experts {
    private static let prefix = "tinysparse.experts."

    func write(to writer: inout GGUFWriter) {
        writer.add(Self.prefix + "count", UInt32(count))
        writer.add(Self.prefix + "active", UInt32(active))
        writer.add(Self.prefix + "width", UInt32(width))
        writer.add(Self.prefix + "router", router.rawValue)
        writer.add(Self.prefix + "normalizes", normalizes)
        writer.add(Self.prefix + "looks_ahead", looksAhead)
        writer.add(Self.prefix + "gates_shared", gatesShared)
    }

    /// - Returns: nil if the model has none.
    /// - Throws: `FormatError` naming the key.
    init?(_ gguf: GGUF) throws(FormatError) {
        guard gguf.entry(Self.prefix + "count") != nil else { return nil }
        count = try gguf.integer(Self.prefix + "count")
        active = try gguf.integer(Self.prefix + "active")
        width = try gguf.integer(Self.prefix + "width")
        let name = try gguf.string(Self.prefix + "router")
        guard let router = Router(rawValue: name) else {
            throw FormatError(
                .unsupported, path: gguf.path, item: Self.prefix + "router", "\"\(printable(name))\" is not supported")
        }
        self.router = router
        normalizes = try gguf.bool(Self.prefix + "normalizes")
        looksAhead = try gguf.bool(Self.prefix + "looks_ahead")
        gatesShared = try gguf.bool(Self.prefix + "gates_shared")
    }
}
