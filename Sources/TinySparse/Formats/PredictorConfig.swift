// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The predictors that a native file holds: docs/NUMERICS.md, 10. Empty lists stand for none.
package struct PredictorConfig: Sendable, Equatable {
    /// Rank of each layer's predictor of neurons; 0 where there is none.
    package var neuronRanks: [Int] = []
    /// Rank of each layer's predictor of heads; 0 where there is none.
    package var headRanks: [Int] = []
    /// How many neighboring neurons share a score, and are computed or skipped together.
    package var neuronGroup = 1
    /// Layers whose neurons are chosen by their own gate instead of by a predictor; empty for none.
    package var gates: [Bool] = []
    /// A neuron with a score at least this high is active; one per layer.
    package var neuronThresholds: [Float] = []
    /// A head with a score at least this high is active; one per layer.
    package var headThresholds: [Float] = []
    /// Neurons are predicted from the norm before the attention of their layer, so that they are known
    /// before it runs, and not from the norm before the MLP.
    package var lookahead = false
    /// The screen of the output matrix; nil where there is none.
    package var screen: LMHeadScreenConfig?

    package init() {}

    /// Whether there are no predictors; there may still be a screen.
    package var isEmpty: Bool { neuronRanks.isEmpty && headRanks.isEmpty }

    /// Whether a layer's heads are predicted.
    func hasHeads(_ layer: Int) -> Bool { !headRanks.isEmpty && headRanks[layer] > 0 }
    package func isGateChosen(_ layer: Int) -> Bool { !gates.isEmpty && gates[layer] }

    private static let key = "tinysparse.predictors."

    func write(to writer: inout GGUFWriter) {
        screen?.write(to: &writer)
        guard !isEmpty else { return }
        writer.add(Self.key + "neuron_ranks", neuronRanks.map(Int32.init))
        writer.add(Self.key + "neuron_thresholds", neuronThresholds)
        writer.add(Self.key + "head_ranks", headRanks.map(Int32.init))
        writer.add(Self.key + "head_thresholds", headThresholds)
        writer.add(Self.key + "lookahead", lookahead)
        if neuronGroup > 1 { writer.add(Self.key + "neuron_group", UInt32(neuronGroup)) }
        if gates.contains(true) { writer.add(Self.key + "gates", gates.map { $0 ? 1 : 0 } as [Int32]) }
    }

    /// Reads what a native file of `layers` layers says; empty if it says nothing.
    /// - Parameters:
    ///   - dFF: neurons of a layer.
    ///   - gated: whether the model's MLPs have gates.
    /// - Throws: `FormatError` naming the key.
    init(_ gguf: GGUF, layers: Int, dFF: Int, gated: Bool) throws(FormatError) {
        screen = try LMHeadScreenConfig(gguf)
        guard gguf.entry(Self.key + "neuron_ranks") != nil else { return }
        func ranks(_ name: String) throws(FormatError) -> [Int] {
            guard let entry = gguf.entry(Self.key + name) else { throw gguf.missing(Self.key + name) }
            let values = try entry.int32s(in: gguf.file).map(Int.init)
            guard values.count == layers, values.allSatisfy({ (0...4096).contains($0) }) else {
                throw wrong(name, "does not hold a rank in 0...4096 for each of \(layers) layers")
            }
            return values
        }
        func thresholds(_ name: String) throws(FormatError) -> [Float] {
            guard let entry = gguf.entry(Self.key + name) else { throw gguf.missing(Self.key + name) }
            let values = try entry.floats(in: gguf.file)
            guard values.count == layers, values.allSatisfy({ $0.isFinite }) else {
                throw wrong(name, "does not hold a finite threshold for each of \(layers) layers")
            }
            return values
        }
        func wrong(_ name: String, _ message: String) -> FormatError {
            FormatError(
                .malformed, path: gguf.path, item: Self.key + name, message + "; train the predictors again")
        }
        neuronRanks = try ranks("neuron_ranks")
        neuronThresholds = try thresholds("neuron_thresholds")
        headRanks = try ranks("head_ranks")
        headThresholds = try thresholds("head_thresholds")
        lookahead = try gguf.bool(Self.key + "lookahead")
        if gguf.entry(Self.key + "neuron_group") != nil {
            neuronGroup = try gguf.integer(Self.key + "neuron_group")
            guard neuronGroup > 0, dFF.isMultiple(of: neuronGroup) else {
                throw wrong("neuron_group", "does not divide the \(dFF) neurons of a layer")
            }
        }
        guard let entry = gguf.entry(Self.key + "gates") else { return }
        let marks = try entry.int32s(in: gguf.file)
        guard gated, marks.count == layers, marks.allSatisfy({ 0...1 ~= $0 }),
            zip(marks, neuronRanks).allSatisfy({ $0 == 0 || $1 == 0 })
        else { throw wrong("gates", "names layers without a gate, or with a predictor of neurons as well") }
        gates = marks.map { $0 == 1 }
    }
}
