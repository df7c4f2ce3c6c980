// SPDX-License-Identifier: Apache-2.0

import TinySupport

private let prefix = "tinysparse.predictors."

extension PredictorConfig {
    func write(to writer: inout GGUFWriter) {
        screen?.write(to: &writer)
        guard !isEmpty else { return }
        writer.add(prefix + "neuron_ranks", neuronRanks.map(Int32.init))
        writer.add(prefix + "neuron_thresholds", neuronThresholds)
        writer.add(prefix + "head_ranks", headRanks.map(Int32.init))
        writer.add(prefix + "head_thresholds", headThresholds)
        writer.add(prefix + "lookahead", neuronInput == .attentionNorm)
        if isExtended {
            writer.add(prefix + "neuron_input", neuronInput.rawValue)
            writer.add(prefix + "head_input", headInput.rawValue)
            writer.add(prefix + "neuron_relu", neuronRelu)
        }
        if neuronGroup > 1 { writer.add(prefix + "neuron_group", UInt32(neuronGroup)) }
        if gates.contains(true) { writer.add(prefix + "gates", gates.map { $0 ? 1 : 0 } as [Int32]) }
    }

    /// Reads what a native file of `layers` layers says; empty if it says nothing.
    /// - Parameters:
    ///   - dFF: neurons of a layer.
    ///   - gated: whether the model's MLPs have gates.
    /// - Throws: `FormatError` naming the key.
    init(_ gguf: GGUF, layers: Int, dFF: Int, gated: Bool) throws(FormatError) {
        screen = try LMHeadScreenConfig(gguf)
        let fields = PredictorFields(gguf: gguf, layers: layers)
        guard fields.has("neuron_ranks") else { return }
        neuronRanks = try fields.ranks("neuron_ranks")
        neuronThresholds = try fields.thresholds("neuron_thresholds")
        headRanks = try fields.ranks("head_ranks")
        headThresholds = try fields.thresholds("head_thresholds")
        let lookahead = try gguf.bool(prefix + "lookahead")
        neuronInput = try fields.input("neuron_input") ?? (lookahead ? .attentionNorm : .mlpNorm)
        guard lookahead == (neuronInput == .attentionNorm) else {
            throw fields.wrong("neuron_input", "contradicts \(prefix)lookahead")
        }
        headInput = try fields.input("head_input") ?? .mlpNorm
        if fields.has("neuron_relu") { neuronRelu = try gguf.bool(prefix + "neuron_relu") }
        if fields.has("neuron_group") {
            neuronGroup = try gguf.integer(prefix + "neuron_group")
            guard neuronGroup > 0, dFF.isMultiple(of: neuronGroup) else {
                throw fields.wrong("neuron_group", "does not divide the \(dFF) neurons of a layer")
            }
        }
        guard let entry = gguf.entry(prefix + "gates") else { return }
        let marks = try entry.int32s(in: gguf.file)
        guard gated, marks.count == layers, marks.allSatisfy({ 0...1 ~= $0 }),
            zip(marks, neuronRanks).allSatisfy({ $0 == 0 || $1 == 0 })
        else { throw fields.wrong("gates", "names layers without a gate, or with a predictor of neurons as well") }
        gates = marks.map { $0 == 1 }
    }
}

/// What the metadata of a native file says of the predictors of its layers.
private struct PredictorFields {
    let gguf: GGUF
    let layers: Int

    func has(_ name: String) -> Bool { gguf.entry(prefix + name) != nil }

    private func entry(_ name: String) throws(FormatError) -> GGUFEntry {
        guard let entry = gguf.entry(prefix + name) else { throw gguf.missing(prefix + name) }
        return entry
    }

    func ranks(_ name: String) throws(FormatError) -> [Int] {
        let values = try entry(name).int32s(in: gguf.file).map(Int.init)
        guard values.count == layers, values.allSatisfy({ 0...PredictorConfig.largestRank ~= $0 }) else {
            throw wrong(
                name, "does not hold a rank in 0...\(PredictorConfig.largestRank) for each of \(layers) layers")
        }
        return values
    }

    func thresholds(_ name: String) throws(FormatError) -> [Float] {
        let values = try entry(name).floats(in: gguf.file)
        guard values.count == layers, values.allSatisfy({ $0.isFinite }) else {
            throw wrong(name, "does not hold a finite threshold for each of \(layers) layers")
        }
        return values
    }

    func input(_ name: String) throws(FormatError) -> PredictorConfig.Input? {
        guard let value = try gguf.optionalString(prefix + name) else { return nil }
        guard let input = PredictorConfig.Input(rawValue: value) else {
            throw FormatError(
                .unsupported, path: gguf.path, item: prefix + name,
                "predictors that read \"\(printable(value))\" are not supported; train the predictors again")
        }
        return input
    }

    func wrong(_ name: String, _ message: String) -> FormatError {
        FormatError(.malformed, path: gguf.path, item: prefix + name, message + "; train the predictors again")
    }
}
