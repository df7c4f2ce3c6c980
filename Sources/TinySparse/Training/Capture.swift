import SIMDKernels
import TinyFormats
import TinyRuntime

/// Quantized vectors of many tokens, as the runtime made them.
final class CapturedRows: @unchecked Sendable {
    let width: Int
    private let groups: Int
    private let values: AlignedBuffer<Int8>
    private let scales: AlignedBuffer<Float>
    private let sums: AlignedBuffer<Int32>

    init(width: Int, count: Int) throws(RuntimeError) {
        self.width = width
        groups = (width + groupSize - 1) / groupSize
        values = try AlignedBuffer(count * groups * groupSize)
        scales = try AlignedBuffer(count * groups)
        sums = try AlignedBuffer(count * groups)
    }

    func set(_ t: Int, _ row: QuantizedRows) {
        (values.pointer + t * groups * groupSize).update(from: row.values, count: groups * groupSize)
        (scales.pointer + t * groups).update(from: row.scales, count: groups)
        (sums.pointer + t * groups).update(from: row.sums, count: groups)
    }

    func row(_ t: Int) -> QuantizedRows {
        QuantizedRows(
            values: values.pointer + t * groups * groupSize, scales: scales.pointer + t * groups,
            sums: sums.pointer + t * groups, groups: groups)
    }

    /// The `width` numbers of a row.
    func expand(_ t: Int, into out: UnsafeMutablePointer<Float>) {
        row(t).expand(into: out, width: width)
    }
}

extension QuantizedRows {
    /// The `width` numbers of one token.
    func expand(into out: UnsafeMutablePointer<Float>, width: Int) {
        for g in 0..<groups {
            let q = values + g * groupSize, scale = scales[g]
            let out = out + g * groupSize
            for i in 0..<min(groupSize, width - g * groupSize) { out[i] = Float(q[i]) * scale }
        }
    }
}

/// What to predict from what, for one layer: inputs, and how large each head or group of neurons was.
final class PredictorData: @unchecked Sendable {
    let inputs: CapturedRows
    let outputs: Int
    /// Neighboring neurons that are one output.
    let group: Int
    let count: Int
    /// `[count, outputs]` sizes (`Level`), `unit` standing for the norm of the token's residual stream.
    let levels: AlignedBuffer<UInt8>
    /// Squared norm of what a size of 1 adds to the residual stream, one an output.
    let gain: [Float]
    /// `[count, outputs]`: of each group, how many neurons were active; nil for groups of one.
    private let firing: AlignedBuffer<UInt8>?
    /// `gain` of the neurons of groups.
    private let memberGain: [Float]
    /// Whether to learn how much an output adds rather than whether it is active.
    let learnsEnergy: Bool
    /// What is at least this large is to be computed; one a token.
    fileprivate(set) var bounds: [UInt8]

    static let unit: Float = 256

    init(inputs: CapturedRows, gain: [Float], group: Int = 1, count: Int, learnsEnergy: Bool) throws(RuntimeError) {
        self.inputs = inputs
        self.group = group
        self.learnsEnergy = learnsEnergy
        outputs = gain.count / group
        self.gain = group == 1 ? gain : [Float](repeating: 1, count: outputs)
        memberGain = gain
        firing = group == 1 ? nil : try AlignedBuffer(count * outputs)
        self.count = count
        levels = try AlignedBuffer(count * outputs)
        bounds = [UInt8](repeating: 1, count: count)
    }

    fileprivate func set(_ t: Int, _ sizes: UnsafePointer<Float>, _ scale: Float) {
        let row = levels.pointer + t * outputs
        guard let firing else {
            for i in 0..<outputs { row[i] = Level.of(sizes[i] * scale) }
            return
        }
        for i in 0..<outputs {
            var energy: Float = 0, active: UInt8 = 0
            for member in i * group..<(i + 1) * group {
                energy += sizes[member] * sizes[member] * memberGain[member]
                if sizes[member] != 0 { active += 1 }
            }
            row[i] = Level.of(energy.squareRoot() * scale)
            firing.pointer[t * outputs + i] = active
        }
    }

    /// How many of an output's neurons are to be computed: all or none where it is by size, and otherwise those that fire.
    func active(_ t: Int, _ i: Int) -> Int {
        guard levels.pointer[t * outputs + i] >= bounds[t] else { return 0 }
        guard let firing, !learnsEnergy else { return group }
        return Int(firing.pointer[t * outputs + i])
    }

    /// What each level adds to the residual stream, by the mean over tokens and outputs, before `gain`.
    var energies: [Float] {
        var sum = 0.0, seen = 0.0
        for t in stride(from: 0, to: count, by: max(count / 1000, 1)) {
            let row = levels.pointer + t * outputs
            for i in 0..<outputs { sum += Double(Level.values[Int(row[i])] * Level.values[Int(row[i])] * gain[i]) }
            seen += Double(outputs)
        }
        let mean = Float(max(sum / max(seen, 1), 1e-20))
        return Level.values.map { $0 * $0 / mean }
    }

    /// Makes the largest `share` of a token's outputs those to be computed.
    func boundByShare(_ t: Int, _ share: Double) {
        var counts = [Int](repeating: 0, count: 256)
        let row = levels.pointer + t * outputs
        for i in 0..<outputs { counts[Int(row[i])] += 1 }
        var left = Int(Double(outputs) * share)
        var level = 255
        while level > 1, left - counts[level] > 0 {
            left -= counts[level]
            level -= 1
        }
        bounds[t] = UInt8(level)
    }
}

/// What some layers of a dense model saw and did on a text.
///
/// Memory: about d_model + d_ff bytes a token and layer, which is why layers are captured in groups.
struct Capture {
    /// Neurons of the layers, in order.
    private(set) var neurons: [PredictorData] = []
    /// Heads of the layers; nil for layer 0, whose heads nothing predicts.
    private(set) var heads: [PredictorData?] = []

    static func bytesPerToken(_ config: ModelConfig, lookahead: Bool) -> Int {
        let input = config.dModel + config.dModel / 8
        return (lookahead ? 2 : 1) * input + config.dFF + config.nHeads
    }

    /// Reads the sample once.
    /// - Parameters:
    ///   - group: neurons that are one output.
    ///   - topShare: of layers without ReLU, the share of the neurons that counts as active.
    ///   - progress: called after every piece; returning false ends the capture.
    /// - Throws: `RuntimeError`.
    init(
        _ session: Session, _ sample: TextSample, layers: Range<Int>, group: Int, lookahead: Bool, topShare: Double,
        progress: (_ done: Int, _ of: Int) -> Bool
    ) throws(RuntimeError) {
        let config = session.model.config
        let count = sample.tokens
        // The heads of a layer are predicted from the norm before the MLP of the layer before.
        var mlpInputs: [Int: CapturedRows] = [:], attentionInputs: [Int: CapturedRows] = [:]
        for layer in max(layers.lowerBound - 1, 0)..<layers.upperBound {
            mlpInputs[layer] = try CapturedRows(width: config.dModel, count: count)
            if lookahead { attentionInputs[layer] = try CapturedRows(width: config.dModel, count: count) }
        }
        var contributions: [HeadContributions] = []
        for layer in layers {
            let input = lookahead ? attentionInputs[layer]! : mlpInputs[layer]!
            let gain = session.model.weights.layers[layer].down.inputEnergies
            neurons.append(try PredictorData(
                inputs: input, gain: gain, group: group, count: count, learnsEnergy: !config.activation.isSparse))
            heads.append(layer == 0 ? nil : try PredictorData(
                inputs: mlpInputs[layer - 1]!, gain: [Float](repeating: 1, count: config.nHeads), count: count,
                learnsEnergy: true))
            contributions.append(HeadContributions(config, session.model.weights.layers[layer].output))
        }
        var start = 0
        let (neurons, heads) = (neurons, heads)
        session.observeLayers { state in
            guard state.layer >= 0 else { return }
            nonisolated(unsafe) let state = state
            let from = start
            let mlp = mlpInputs[state.layer], attention = attentionInputs[state.layer]
            for t in 0..<state.tokens {
                mlp?.set(from + t, state.mlpInput.row(t))
                attention?.set(from + t, state.attentionInput.row(t))
            }
            if layers.contains(state.layer) {
                let data = neurons[state.layer - layers.lowerBound], head = heads[state.layer - layers.lowerBound]
                let norms = contributions[state.layer - layers.lowerBound].norms(
                    of: state.heads, tokens: state.tokens, session.pool)
                session.pool.run(state.tokens) { t, _ in
                    let x = state.hidden.baseAddress! + t * config.dModel
                    let scale = PredictorData.unit / max(MatrixMath.dot(x, x, config.dModel).squareRoot(), 1e-20)
                    data.set(from + t, state.neurons + t * config.dFF, scale)
                    norms.withUnsafeBufferPointer { head?.set(from + t, $0.baseAddress! + t * config.nHeads, scale) }
                }
            }
            if state.layer == config.nLayers - 1 { start += state.tokens }
        }
        defer { session.observeLayers(nil) }
        for (index, chunk) in sample.chunks.enumerated() {
            session.rewind(to: 0)
            try session.evaluate(chunk)
            if !progress(index + 1, sample.chunks.count) { break }
        }
        session.rewind(to: 0)
        for (data, head) in zip(neurons, heads) {
            if !config.activation.isSparse { for t in 0..<count { data.boundByShare(t, topShare) } }
            head?.boundByMedianShare()
        }
    }
}

extension PredictorData {
    /// Makes active what has at least the median share of its token's sum: half of all, and of each token as
    /// many as are large there.
    fileprivate func boundByMedianShare() {
        var totals: [Float] = []
        var counts = [Int](repeating: 0, count: 256)
        for t in 0..<count {
            let row = levels.pointer + t * outputs
            let total = (0..<outputs).reduce(Float(0)) { $0 + Level.values[Int(row[$1])] }
            totals.append(total)
            for i in 0..<outputs where total > 0 { counts[Int(Level.of(Level.values[Int(row[i])] / total))] += 1 }
        }
        var below = 0, median = 0
        while median < 255, below + counts[median] <= count * outputs / 2 {
            below += counts[median]
            median += 1
        }
        for t in 0..<count { bounds[t] = max(Level.of(Level.values[median] * totals[t]), 1) }
    }
}
